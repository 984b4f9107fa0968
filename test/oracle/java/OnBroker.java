package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * Kafka Streams as it runs in production: exactly once, on a real broker. Reads orders from stdin, a line of JSON
 * each, and answers each when it is done: `start` (a program under an application id, runs from then on) and `stop`.
 * What is still running ends with the input. When there is nothing left to read it does not judge itself: who
 * gave the orders sees it from the committed offsets. Called by test/oracle/program-run.ts.
 */
public final class OnBroker {

  private static final Map<String, KafkaStreams> RUNNING = new HashMap<>();

  private OnBroker() {}

  public static void main(String[] args) throws IOException {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Nobody else may write between the answers.
    System.setOut(System.err);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      out.println(answer(line));
      out.flush();
    }
    for (KafkaStreams streams : RUNNING.values()) streams.close();
  }

  private static String answer(String line) {
    ObjectNode answer = OutputSerde.JSON.createObjectNode();
    try {
      JsonNode order = OutputSerde.JSON.readTree(line);
      if (order.has("start")) start(order.get("start"));
      else RUNNING.remove(order.get("stop").asText()).close();
    } catch (Exception | LinkageError error) {
      answer.put("error", String.valueOf(error));
    }
    return answer.toString();
  }

  private static void start(JsonNode plan) throws InterruptedException, ExecutionException, TimeoutException {
    StreamsBuilder builder = new StreamsBuilder();
    BrokerPrograms.build(plan.get("program"), builder);
    Properties settings = settings(plan);
    KafkaStreams streams = new KafkaStreams(builder.build(settings), settings);
    CompletableFuture<Void> runs = new CompletableFuture<>();
    streams.setStateListener(
        (now, before) -> {
          if (now == KafkaStreams.State.RUNNING) runs.complete(null);
        });
    streams.setUncaughtExceptionHandler(
        error -> {
          runs.completeExceptionally(error);
          error.printStackTrace();
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    RUNNING.put(plan.get("applicationId").asText(), streams);
    streams.start();
    runs.get(60, TimeUnit.SECONDS);
  }

  private static Properties settings(JsonNode plan) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, plan.get("applicationId").asText());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, plan.get("brokers").asText());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, plan.get("stateDir").asText());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
    // Results that wait for stream time come out as soon as it allows, not at most once in a real second.
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, 0L);
    return settings;
  }
}
