package oracle;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;

/** Stateful operators one after another, each under another key than the one before. */
final class ChainPrograms {

  private static final Grouped<String, String> STRINGS = Grouped.with(Serdes.String(), Serdes.String());

  private ChainPrograms() {}

  /** reduce, windowed count, aggregate, join with a table; a repartition topic between any two. */
  static KStream<?, ?> chain(Case vector, StreamsBuilder builder) {
    KTable<String, String> right = builder.table("right", Consumed.with(Serdes.String(), Serdes.String()));
    TimeWindows windows =
        TimeWindows.ofSizeAndGrace(
            Case.millis(vector.part("windows"), "sizeMs"), Case.millis(vector.part("windows"), "graceMs"));
    KStream<String, String> counts =
        Programs.stream(vector, builder, "input")
            .groupByKey(Grouped.with(vector.keySerde(), Serdes.String()))
            .reduce((aggregate, value) -> aggregate + "+" + value)
            .toStream()
            .selectKey((key, value) -> "g" + value.length() % 3)
            .groupByKey(STRINGS)
            .windowedBy(windows)
            .count()
            .toStream()
            .selectKey((windowed, count) -> windowed.key())
            .mapValues(count -> count.toString());
    return counts
        .groupByKey(STRINGS)
        .aggregate(
            () -> "0",
            (key, count, aggregate) -> aggregate + "+" + count,
            Materialized.with(Serdes.String(), Serdes.String()))
        .toStream()
        .selectKey((key, value) -> "t" + value.length() / 2 % 4)
        .leftJoin(
            right,
            (left, row) -> left + ":" + row,
            Joined.with(Serdes.String(), Serdes.String(), Serdes.String()));
  }
}
