package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Aggregator;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Initializer;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KGroupedTable;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.KeyValueMapper;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Merger;
import org.apache.kafka.streams.kstream.Reducer;
import org.apache.kafka.streams.kstream.SessionWindowedKStream;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.Suppressed.EagerBufferConfig;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.UnlimitedWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.KeyValueStore;

/** Aggregates, windowed and not, and suppression. */
final class AggregatePrograms {

  private static final Initializer<String> ZERO = () -> "0";
  private static final Aggregator<Object, String, String> ADD = (key, value, aggregate) -> aggregate + "+" + value;
  private static final Aggregator<Object, String, String> SUBTRACT =
      (key, value, aggregate) -> aggregate + "-" + value;
  private static final Reducer<String> REDUCE = (aggregate, value) -> aggregate + "+" + value;
  private static final Merger<Object, String> MERGE = (key, one, other) -> one + "+" + other;

  private AggregatePrograms() {}

  private static IllegalArgumentException unknown(String what, String name) {
    return new IllegalArgumentException("unknown " + what + " " + name);
  }

  private static KGroupedStream<Object, String> grouped(Case vector, StreamsBuilder builder) {
    return Programs.stream(vector, builder, "input").groupByKey(Grouped.with(vector.keySerde(), Serdes.String()));
  }

  static KStream<?, ?> streamAggregate(Case vector, StreamsBuilder builder) {
    KGroupedStream<Object, String> grouped = grouped(vector, builder);
    KTable<Object, ?> table =
        switch (vector.text("aggregate")) {
          case "count" -> grouped.count();
          case "reduce" -> grouped.reduce(REDUCE);
          case "aggregate" -> grouped.aggregate(ZERO, ADD, texts(vector));
          default -> throw unknown("aggregate", vector.text("aggregate"));
        };
    return table.toStream();
  }

  static KStream<?, ?> windowAggregate(Case vector, StreamsBuilder builder) {
    KGroupedStream<Object, String> grouped = grouped(vector, builder);
    KTable<Windowed<Object>, ?> table =
        vector.part("windows").get("type").asText().equals("session")
            ? sessions(vector, grouped)
            : windows(vector, windowed(vector.part("windows"), grouped));
    return suppressed(vector, table).toStream();
  }

  private static TimeWindowedKStream<Object, String> windowed(
      JsonNode windows, KGroupedStream<Object, String> grouped) {
    return switch (windows.get("type").asText()) {
      case "tumbling" ->
          grouped.windowedBy(
              TimeWindows.ofSizeAndGrace(Case.millis(windows, "sizeMs"), Case.millis(windows, "graceMs")));
      case "hopping" ->
          grouped.windowedBy(
              TimeWindows.ofSizeAndGrace(Case.millis(windows, "sizeMs"), Case.millis(windows, "graceMs"))
                  .advanceBy(Case.millis(windows, "advanceMs")));
      case "sliding" ->
          grouped.windowedBy(
              SlidingWindows.ofTimeDifferenceAndGrace(
                  Case.millis(windows, "timeDifferenceMs"), Case.millis(windows, "graceMs")));
      case "unlimited" -> grouped.windowedBy(UnlimitedWindows.of());
      default -> throw unknown("windows", windows.get("type").asText());
    };
  }

  private static KTable<Windowed<Object>, ?> windows(Case vector, TimeWindowedKStream<Object, String> updates) {
    TimeWindowedKStream<Object, String> windowed =
        emitsOnClose(vector) ? updates.emitStrategy(EmitStrategy.onWindowClose()) : updates;
    return switch (vector.text("aggregate")) {
      case "count" -> windowed.count(retained(vector, Materialized.with(vector.keySerde(), Serdes.Long())));
      case "reduce" -> windowed.reduce(REDUCE, retained(vector, texts(vector)));
      case "aggregate" -> windowed.aggregate(ZERO, ADD, retained(vector, texts(vector)));
      default -> throw unknown("aggregate", vector.text("aggregate"));
    };
  }

  private static KTable<Windowed<Object>, ?> sessions(Case vector, KGroupedStream<Object, String> grouped) {
    JsonNode windows = vector.part("windows");
    SessionWindowedKStream<Object, String> updates =
        grouped.windowedBy(
            SessionWindows.ofInactivityGapAndGrace(Case.millis(windows, "gapMs"), Case.millis(windows, "graceMs")));
    SessionWindowedKStream<Object, String> windowed =
        emitsOnClose(vector) ? updates.emitStrategy(EmitStrategy.onWindowClose()) : updates;
    return switch (vector.text("aggregate")) {
      case "count" -> windowed.count(retained(vector, Materialized.with(vector.keySerde(), Serdes.Long())));
      case "reduce" -> windowed.reduce(REDUCE, retained(vector, texts(vector)));
      case "aggregate" -> windowed.aggregate(ZERO, ADD, MERGE, retained(vector, texts(vector)));
      default -> throw unknown("aggregate", vector.text("aggregate"));
    };
  }

  private static boolean emitsOnClose(Case vector) {
    return vector.text("emit", "on-update").equals("on-window-close");
  }

  private static <S extends StateStore> Materialized<Object, String, S> texts(Case vector) {
    return Materialized.with(vector.keySerde(), Serdes.String());
  }

  private static <V, S extends StateStore> Materialized<Object, V, S> retained(
      Case vector, Materialized<Object, V, S> materialized) {
    return vector.has("retentionMs") ? materialized.withRetention(vector.duration("retentionMs")) : materialized;
  }

  private static <V> KTable<Windowed<Object>, V> suppressed(Case vector, KTable<Windowed<Object>, V> table) {
    if (!vector.has("suppress")) return table;
    if (vector.part("suppress").path("untilWindowCloses").asBoolean(false)) {
      return table.suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()));
    }
    return table.suppress(untilTimeLimit(vector.part("suppress")));
  }

  static KStream<?, ?> tableAggregate(Case vector, StreamsBuilder builder) {
    KGroupedTable<Object, String> grouped =
        Programs.table(vector, builder, "input", "store")
            .groupBy(grouping(vector.text("groupBy")), Grouped.with(vector.keySerde(), Serdes.String()));
    KTable<Object, ?> table =
        switch (vector.text("aggregate")) {
          case "count" -> grouped.count();
          case "reduce" -> grouped.reduce(REDUCE, (aggregate, value) -> aggregate + "-" + value);
          case "aggregate" ->
              grouped.aggregate(
                  ZERO,
                  ADD,
                  SUBTRACT,
                  Materialized.<Object, String, KeyValueStore<Bytes, byte[]>>with(
                      vector.keySerde(), Serdes.String()));
          default -> throw unknown("aggregate", vector.text("aggregate"));
        };
    return table.toStream();
  }

  private static KeyValueMapper<Object, String, KeyValue<Object, String>> grouping(String name) {
    return switch (name) {
      case "key" -> KeyValue::pair;
      case "value" -> (key, value) -> KeyValue.pair(value, value);
      case "nullKeyMap" ->
          (key, value) ->
              switch ((String) key) {
                case "null" -> KeyValue.pair(null, value);
                case "NULL" -> null;
                default -> KeyValue.pair(value, value);
              };
      default -> throw unknown("groupBy", name);
    };
  }

  static KStream<?, ?> countSuppressed(Case vector, StreamsBuilder builder) {
    return Programs.table(vector, builder, "input", "store")
        .groupBy(grouping("value"), Grouped.with(vector.keySerde(), Serdes.String()))
        .count()
        .suppress(untilTimeLimit(vector.part("suppress")))
        .toStream();
  }

  private static <K> Suppressed<K> untilTimeLimit(JsonNode suppress) {
    JsonNode limit = suppress.get("untilTimeLimitMs");
    Duration wait = Duration.ofMillis(limit.isTextual() ? Long.MAX_VALUE : limit.asLong());
    if (!suppress.has("maxRecords")) return Suppressed.untilTimeLimit(wait, BufferConfig.unbounded());
    // Full means: the oldest are emitted early. A buffer that ends the program has no result to compare.
    EagerBufferConfig buffer = BufferConfig.maxRecords(suppress.get("maxRecords").asLong());
    return Suppressed.untilTimeLimit(wait, buffer.emitEarlyWhenFull());
  }
}
