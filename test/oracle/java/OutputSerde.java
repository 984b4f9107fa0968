package oracle;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.kstream.Windowed;

/** Writes whatever a program emits (texts, numbers, windowed keys) as JSON, so that one reader fits them all. */
final class OutputSerde {

  static final ObjectMapper JSON = new ObjectMapper();

  private OutputSerde() {}

  static Serde<Object> make() {
    return Serdes.serdeFrom((topic, value) -> write(value), (topic, bytes) -> read(bytes));
  }

  private static byte[] write(Object value) {
    if (value == null) return null;
    try {
      return JSON.writeValueAsString(value instanceof Windowed<?> windowed ? spanOf(windowed) : value)
          .getBytes(StandardCharsets.UTF_8);
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error);
    }
  }

  private static ObjectNode spanOf(Windowed<?> windowed) {
    ObjectNode span = JSON.createObjectNode();
    span.set("key", JSON.valueToTree(windowed.key()));
    return span.put("windowStart", windowed.window().start()).put("windowEnd", windowed.window().end());
  }

  private static Object read(byte[] bytes) {
    if (bytes == null) return null;
    try {
      return JSON.readTree(new String(bytes, StandardCharsets.UTF_8));
    } catch (JsonProcessingException error) {
      throw new IllegalStateException(error);
    }
  }
}
