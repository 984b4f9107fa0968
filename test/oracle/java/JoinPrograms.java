package oracle;

import java.time.Duration;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.KeyValueMapper;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.ValueJoiner;

/** The joins. */
final class JoinPrograms {

  private JoinPrograms() {}

  private static ValueJoiner<String, String, String> joiner(Case vector) {
    String separator = vector.text("separator");
    return (left, right) -> left + separator + right;
  }

  private static IllegalArgumentException unknownJoin(String how) {
    return new IllegalArgumentException("unknown join " + how);
  }

  static KStream<Object, String> streamStream(Case vector, StreamsBuilder builder) {
    KStream<Object, String> left = Programs.stream(vector, builder, "left");
    boolean self = vector.kind().equals("stream-stream-self");
    KStream<Object, String> right = self ? left : Programs.stream(vector, builder, "right");
    KStream<Object, String> first =
        joinStreams(vector, vector.text("join"), repartitioned(vector, left), repartitioned(vector, right));
    return vector.has("thenJoin") ? joinStreams(vector, vector.text("thenJoin"), first, right) : first;
  }

  /** A map that changes nothing, but may have changed the key as far as the runtime knows. */
  private static KStream<Object, String> repartitioned(Case vector, KStream<Object, String> stream) {
    return vector.flag("repartition") ? stream.map(KeyValue::pair) : stream;
  }

  private static KStream<Object, String> joinStreams(
      Case vector, String how, KStream<Object, String> left, KStream<Object, String> right) {
    JoinWindows windows = windows(vector);
    StreamJoined<Object, String, String> joined =
        StreamJoined.with(vector.keySerde(), Serdes.String(), Serdes.String());
    return switch (how) {
      case "inner" -> left.join(right, joiner(vector), windows, joined);
      case "left" -> left.leftJoin(right, joiner(vector), windows, joined);
      case "outer" -> left.outerJoin(right, joiner(vector), windows, joined);
      default -> throw unknownJoin(how);
    };
  }

  private static JoinWindows windows(Case vector) {
    Duration before = Case.millis(vector.part("window"), "beforeMs");
    Duration after = Case.millis(vector.part("window"), "afterMs");
    Duration grace = Case.millis(vector.part("window"), "graceMs");
    // A side may be negative, the difference that the windows start from may not.
    Duration widest = before.compareTo(after) > 0 ? before : after;
    return JoinWindows.ofTimeDifferenceAndGrace(widest, grace).before(before).after(after);
  }

  static KStream<Object, String> streamTable(Case vector, StreamsBuilder builder) {
    KStream<Object, String> left = Programs.stream(vector, builder, "left");
    KTable<Object, String> right = Programs.table(vector, builder, "right", "rightStore");
    Joined<Object, String, String> joined = Joined.with(vector.keySerde(), Serdes.String(), Serdes.String());
    if (vector.has("joinGraceMs")) joined = joined.withGracePeriod(vector.duration("joinGraceMs"));
    return switch (vector.text("join")) {
      case "inner" -> left.join(right, joiner(vector), joined);
      case "left" -> left.leftJoin(right, joiner(vector), joined);
      default -> throw unknownJoin(vector.text("join"));
    };
  }

  static KStream<Object, String> streamGlobalTable(Case vector, StreamsBuilder builder) {
    KStream<Object, String> left = Programs.stream(vector, builder, "left");
    GlobalKTable<String, String> right =
        builder.globalTable("right", Consumed.with(Serdes.String(), Serdes.String()));
    KeyValueMapper<Object, String, String> secondToken =
        (key, value) -> {
          String[] tokens = value == null ? new String[0] : value.split(",");
          return tokens.length > 1 ? tokens[1] : null;
        };
    return switch (vector.text("join")) {
      case "inner" -> left.join(right, secondToken, joiner(vector));
      case "left" -> left.leftJoin(right, secondToken, joiner(vector));
      default -> throw unknownJoin(vector.text("join"));
    };
  }

  static KStream<Object, String> tableTable(Case vector, StreamsBuilder builder) {
    KTable<Object, String> left = Programs.table(vector, builder, "left", "leftStore");
    KTable<Object, String> right = Programs.table(vector, builder, "right", "rightStore");
    KTable<Object, String> first = joinTables(vector, vector.text("join"), left, right);
    KTable<Object, String> result =
        vector.has("thenJoin") ? joinTables(vector, vector.text("thenJoin"), first, right) : first;
    return result.toStream();
  }

  private static KTable<Object, String> joinTables(
      Case vector, String how, KTable<Object, String> left, KTable<Object, String> right) {
    return switch (how) {
      case "inner" -> left.join(right, joiner(vector));
      case "left" -> left.leftJoin(right, joiner(vector));
      case "outer" -> left.outerJoin(right, joiner(vector));
      default -> throw unknownJoin(how);
    };
  }

  static KStream<Object, String> foreignKey(Case vector, StreamsBuilder builder) {
    KTable<Object, String> left = Programs.table(vector, builder, "left", "leftStore");
    KTable<Object, String> right = Programs.table(vector, builder, "right", "rightStore");
    Function<String, Object> extractor =
        vector.text("extractor", "").equals("always-null") ? value -> null : JoinPrograms::afterBar;
    ValueJoiner<String, String, String> pair = (a, b) -> "(" + a + "," + b + ")";
    KTable<Object, String> result =
        switch (vector.text("join")) {
          case "inner" -> left.join(right, extractor, pair);
          case "left" -> left.leftJoin(right, extractor, pair);
          default -> throw unknownJoin(vector.text("join"));
        };
    return result.toStream();
  }

  private static Object afterBar(String value) {
    String key = value.substring(value.indexOf('|') + 1);
    return key.equals("returnNull") ? null : key;
  }
}
