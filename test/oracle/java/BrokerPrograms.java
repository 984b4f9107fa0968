package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;

/** The programs that run on a real broker, here and in test/oracle/kafka-programs.ts. */
final class BrokerPrograms {

  private static final Consumed<String, String> STRINGS = Consumed.with(Serdes.String(), Serdes.String());

  private BrokerPrograms() {}

  /** `program`: its name and its topics. */
  static void build(JsonNode program, StreamsBuilder builder) {
    String left = program.get("left").asText();
    String right = program.get("right").asText();
    String output = program.get("output").asText();
    String name = program.get("name").asText();
    switch (name) {
      case "windowed-count" -> windowedCount(builder, left, output);
      case "left-join" -> leftJoin(builder, left, right).to(output, Produced.with(Serdes.String(), Serdes.String()));
      case "foreign-key-join" ->
          foreignKeyJoin(builder, left, right).to(output, Produced.with(Serdes.String(), Serdes.String()));
      default -> throw new IllegalArgumentException("unknown program " + name);
    }
  }

  private static void windowedCount(StreamsBuilder builder, String input, String output) {
    Duration size = Duration.ofSeconds(10);
    builder.stream(input, STRINGS)
        .groupByKey()
        .windowedBy(TimeWindows.ofSizeAndGrace(size, Duration.ofSeconds(5)))
        .count()
        .toStream()
        .to(
            output,
            Produced.with(WindowedSerdes.timeWindowedSerdeFrom(String.class, size.toMillis()), Serdes.Long()));
  }

  private static KStream<String, String> leftJoin(StreamsBuilder builder, String left, String right) {
    JoinWindows windows =
        JoinWindows.ofTimeDifferenceAndGrace(Duration.ofSeconds(30), Duration.ofSeconds(20))
            .before(Duration.ofSeconds(10));
    return builder.stream(left, STRINGS)
        .leftJoin(
            builder.stream(right, STRINGS),
            (l, r) -> l + "+" + r,
            windows,
            StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()));
  }

  private static KStream<String, String> foreignKeyJoin(StreamsBuilder builder, String left, String right) {
    return builder.table(left, STRINGS)
        .leftJoin(builder.table(right, STRINGS), BrokerPrograms::afterBar, (l, r) -> "(" + l + "," + r + ")")
        .toStream();
  }

  private static String afterBar(String value) {
    String key = value.substring(value.indexOf('|') + 1);
    return key.isEmpty() ? null : key;
  }
}
