package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.internals.AlwaysLooks;
import org.apache.kafka.streams.test.TestRecord;

/** Runs one case on Kafka Streams' own test driver, under the conditions that the vectors' `meta` names. */
final class Replay {

  static final String OUTPUT = "output";

  private Replay() {}

  /**
   * What was emitted after each input; beside it, where it differs, what is emitted without a known defect; and
   * the topology's description where the case asks for it.
   */
  static void into(ObjectNode answer, Case vector, Path stateFolder) {
    Properties settings = settings(vector, stateFolder);
    Topology topology = topology(vector, settings);
    if (vector.flag("describe")) answer.put("description", topology.describe().toString());
    ArrayNode expected = outputs(vector, topology, settings, false);
    answer.set("expected", expected);
    ArrayNode strict = expected;
    if (vector.kind().equals("window-aggregate")) {
      Case remembering = remembering(vector);
      strict = outputs(remembering, topology(remembering, settings), settings, true);
    } else if (mayHoldBackUnmatched(vector)) {
      strict = outputs(vector, topology, settings, true);
    } else if (vector.kind().equals("stream-stream-self") && vector.has("optimize")) {
      // Joined from one store, a late record is not always paired with itself, as it is without optimisation.
      settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.NO_OPTIMIZATION);
      strict = outputs(vector, topology(vector, settings), settings, false);
    }
    if (!strict.equals(expected)) answer.set("strictExpected", strict);
  }

  /**
   * Results on window close and neighbours of sliding windows are read back from a store that may have forgotten
   * them when stream time jumps: one that keeps rows for years has them all. Rows that come late are refused by
   * grace, not by the store. A session is forgotten a millisecond before it is final, and then not merged: a store
   * that keeps it that much longer. On close that is not to be had from it: such cases name a long retention.
   */
  private static Case remembering(Case vector) {
    boolean onClose = vector.text("emit", "on-update").equals("on-window-close");
    JsonNode windows = vector.part("windows");
    String type = windows.get("type").asText();
    ObjectNode json = vector.json().deepCopy();
    if (type.equals("session")) {
      if (onClose) return vector;
      long shortestMs = windows.get("gapMs").asLong() + windows.get("graceMs").asLong();
      return new Case(json.put("retentionMs", json.path("retentionMs").asLong(shortestMs) + 1));
    }
    if (!onClose && !type.equals("sliding")) return vector;
    return new Case(json.put("retentionMs", Duration.ofDays(1000).toMillis()));
  }

  private static Topology topology(Case vector, Properties settings) {
    StreamsBuilder builder = new StreamsBuilder();
    Programs.build(vector, builder);
    return builder.build(settings);
  }

  private static boolean mayHoldBackUnmatched(Case vector) {
    if (!vector.kind().equals("stream-stream")) return false;
    return !vector.text("join").equals("inner") || !vector.text("thenJoin", "inner").equals("inner");
  }

  private static Properties settings(Case vector, Path stateFolder) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "oracle");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "nowhere:9092");
    settings.put(StreamsConfig.STATE_DIR_CONFIG, stateFolder.toString());
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, vector.text("optimize", StreamsConfig.NO_OPTIMIZATION));
    // Table sources and foreign-key joins take serdes of unnamed places from here.
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, vector.keySerde().getClass());
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    // Results that wait for stream time come out as soon as it allows, not at most once in a real second.
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, 0L);
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, 0L);
    return settings;
  }

  private static ArrayNode outputs(Case vector, Topology topology, Properties settings, boolean strict) {
    try (TopologyTestDriver driver = new TopologyTestDriver(topology, settings, Instant.EPOCH)) {
      if (strict) {
        AlwaysLooks.install(driver);
        FinalAtTheEnd.install(driver, vector);
      }
      return outputs(vector, driver);
    }
  }

  private static ArrayNode outputs(Case vector, TopologyTestDriver driver) {
    TestOutputTopic<Object, Object> output =
        driver.createOutputTopic(OUTPUT, OutputSerde.make().deserializer(), OutputSerde.make().deserializer());
    ArrayNode expected = OutputSerde.JSON.createArrayNode();
    for (JsonNode input : vector.part("inputs")) {
      String topic = input.get("topic").asText();
      String value = input.get("value").isNull() ? null : input.get("value").asText();
      driver
          .createInputTopic(topic, vector.keySerdeOf(topic).serializer(), Serdes.String().serializer())
          .pipeInput(vector.key(input), value, input.get("timestamp").asLong());
      ArrayNode emitted = expected.addArray();
      for (TestRecord<Object, Object> each : output.readRecordsToList()) emitted.add(record(each));
    }
    return expected;
  }

  private static ObjectNode record(TestRecord<Object, Object> emitted) {
    ObjectNode record = OutputSerde.JSON.createObjectNode();
    if (emitted.key() instanceof ObjectNode span) record.setAll(span);
    else record.set("key", (JsonNode) emitted.key());
    record.set("value", (JsonNode) emitted.value());
    return record.put("timestamp", emitted.timestamp());
  }
}
