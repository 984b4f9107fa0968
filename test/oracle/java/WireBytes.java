package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Set;
import java.util.UUID;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.kstream.internals.TimeWindow;
import org.apache.kafka.streams.kstream.internals.WindowedSerializer;
import org.apache.kafka.streams.kstream.internals.WindowedStreamPartitioner;

/**
 * The bytes that Java's serializers make of values, and the partitions that Kafka's producer and Kafka Streams give
 * to them as keys. Reads questions from stdin, a line of JSON each, and answers each. Called by
 * test/oracle/serde-bytes.test.ts and avro-bytes.test.ts.
 */
public final class WireBytes {

  private static final String TOPIC = "topic";

  private WireBytes() {}

  public static void main(String[] args) throws IOException {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Nobody else may write between the answers.
    System.setOut(System.err);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      out.println(answer(line));
      out.flush();
    }
  }

  private static String answer(String line) {
    ObjectNode answer = OutputSerde.JSON.createObjectNode();
    try {
      JsonNode question = OutputSerde.JSON.readTree(line);
      if (question.has("schema")) AvroBytes.into(answer, question);
      else primitives(answer, question);
    } catch (Exception | LinkageError error) {
      answer.put("error", String.valueOf(error));
    }
    return answer.toString();
  }

  /** For each value of the question its bytes, and its partition for each of the partition counts. */
  private static void primitives(ObjectNode answer, JsonNode question) {
    ArrayNode bytes = answer.putArray("bytes");
    ArrayNode partitions = answer.putArray("partitions");
    for (JsonNode value : question.get("values")) {
      String serde = question.get("serde").asText();
      Keyed keyed = serde.contains("windowed ") ? windowed(serde, value) : plain(serde, value);
      bytes.add(keyed.bytes() == null ? null : HexFormat.of().formatHex(keyed.bytes()));
      ArrayNode each = partitions.addArray();
      if (keyed.bytes() == null) continue;
      for (JsonNode count : question.get("partitionCounts")) each.add(keyed.partition(count.asInt()));
    }
  }

  private interface Keyed {
    byte[] bytes();

    default int partition(int count) {
      return BuiltInPartitioner.partitionForKey(bytes(), count);
    }
  }

  private static Keyed plain(String name, JsonNode value) {
    byte[] bytes = serde(name).serializer().serialize(TOPIC, value.isNull() ? null : valueOf(name, value.asText()));
    return () -> bytes;
  }

  /** Shape of the name: `time-windowed string`; of the value: its key, startMs and endMs. */
  private static Keyed windowed(String name, JsonNode value) {
    String inner = name.substring(name.indexOf(' ') + 1);
    boolean session = name.startsWith("session");
    long start = value.get("startMs").asLong();
    long end = value.get("endMs").asLong();
    Windowed<Object> key =
        new Windowed<>(
            valueOf(inner, value.get("key").asText()),
            session ? new SessionWindow(start, end) : new TimeWindow(start, end));
    Serde<Windowed<Object>> serde =
        session
            ? new WindowedSerdes.SessionWindowedSerde<>(serde(inner))
            : new WindowedSerdes.TimeWindowedSerde<>(serde(inner), end - start);
    byte[] bytes = serde.serializer().serialize(TOPIC, key);
    WindowedStreamPartitioner<Object, Object> partitioner =
        new WindowedStreamPartitioner<>((WindowedSerializer<Object>) serde.serializer());
    return new Keyed() {
      @Override
      public byte[] bytes() {
        return bytes;
      }

      @Override
      public int partition(int count) {
        Set<Integer> chosen = partitioner.partitions(TOPIC, key, null, count).orElseThrow();
        return chosen.iterator().next();
      }
    };
  }

  @SuppressWarnings("unchecked")
  private static Serde<Object> serde(String name) {
    Serde<?> serde =
        switch (name) {
          case "string" -> Serdes.String();
          case "short" -> Serdes.Short();
          case "integer" -> Serdes.Integer();
          case "long" -> Serdes.Long();
          case "float" -> Serdes.Float();
          case "double" -> Serdes.Double();
          case "boolean" -> Serdes.Boolean();
          case "uuid" -> Serdes.UUID();
          case "byte array" -> Serdes.ByteArray();
          case "bytes" -> Serdes.Bytes();
          case "byte buffer" -> Serdes.ByteBuffer();
          case "void" -> Serdes.Void();
          default -> throw new IllegalArgumentException("unknown serde " + name);
        };
    return (Serde<Object>) serde;
  }

  private static Object valueOf(String name, String text) {
    return switch (name) {
      case "string" -> text;
      case "short" -> Short.parseShort(text);
      case "integer" -> Integer.parseInt(text);
      case "long" -> Long.parseLong(text);
      case "float" -> Float.parseFloat(text);
      case "double" -> Double.parseDouble(text);
      case "boolean" -> Boolean.parseBoolean(text);
      case "uuid" -> UUID.fromString(text);
      case "byte array" -> HexFormat.of().parseHex(text);
      case "bytes" -> Bytes.wrap(HexFormat.of().parseHex(text));
      case "byte buffer" -> ByteBuffer.wrap(HexFormat.of().parseHex(text));
      default -> throw new IllegalArgumentException("unknown serde " + name);
    };
  }
}
