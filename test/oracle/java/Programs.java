package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** From a case to its topology: which program each kind stands for, and what the programs share. */
final class Programs {

  private Programs() {}

  static void build(Case vector, StreamsBuilder builder) {
    KStream<?, ?> result =
        switch (vector.kind()) {
          case "stream-stream", "stream-stream-self" -> JoinPrograms.streamStream(vector, builder);
          case "stream-table" -> JoinPrograms.streamTable(vector, builder);
          case "stream-globaltable" -> JoinPrograms.streamGlobalTable(vector, builder);
          case "table-table" -> JoinPrograms.tableTable(vector, builder);
          case "table-table-fk" -> JoinPrograms.foreignKey(vector, builder);
          case "stream-aggregate" -> AggregatePrograms.streamAggregate(vector, builder);
          case "window-aggregate" -> AggregatePrograms.windowAggregate(vector, builder);
          case "table-aggregate" -> AggregatePrograms.tableAggregate(vector, builder);
          case "chain" -> ChainPrograms.chain(vector, builder);
          case "table-groupby-count-suppress" -> AggregatePrograms.countSuppressed(vector, builder);
          default -> throw new IllegalArgumentException("unknown kind " + vector.kind());
        };
    write(result);
  }

  @SuppressWarnings("unchecked")
  private static void write(KStream<?, ?> result) {
    ((KStream<Object, Object>) result).to(Replay.OUTPUT, Produced.with(OutputSerde.make(), OutputSerde.make()));
  }

  static KStream<Object, String> stream(Case vector, StreamsBuilder builder, String topic) {
    return builder.stream(topic, Consumed.with(vector.keySerde(), Serdes.String()));
  }

  /** A table read from a topic of its name, kept in the kind of store that the named field describes. */
  static KTable<Object, String> table(Case vector, StreamsBuilder builder, String topic, String storeField) {
    Consumed<Object, String> consumed = Consumed.with(vector.keySerde(), Serdes.String());
    JsonNode store = vector.json().path(storeField);
    if (!store.path("type").asText("unversioned").equals("versioned")) return builder.table(topic, consumed);
    Materialized<Object, String, KeyValueStore<Bytes, byte[]>> versioned =
        Materialized.as(
            Stores.persistentVersionedKeyValueStore(
                topic + "-versions", Case.millis(store, "historyRetentionMs")));
    return builder.table(topic, consumed, versioned);
  }
}
