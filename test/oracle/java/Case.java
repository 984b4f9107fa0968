package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** One case of the vectors' form; the field `meta` of the shared files explains every name. */
record Case(JsonNode json) {

  String kind() {
    return text("kind");
  }

  boolean has(String name) {
    return json.hasNonNull(name);
  }

  /** A text that the case must have. */
  String text(String name) {
    return need(json, name).asText();
  }

  String text(String name, String otherwise) {
    return json.path(name).asText(otherwise);
  }

  boolean flag(String name) {
    return json.path(name).asBoolean(false);
  }

  JsonNode part(String name) {
    return need(json, name);
  }

  Duration duration(String name) {
    return millis(json, name);
  }

  /** A nested object's field in milliseconds. */
  static Duration millis(JsonNode parent, String name) {
    return Duration.ofMillis(need(parent, name).asLong());
  }

  private static JsonNode need(JsonNode parent, String name) {
    JsonNode found = parent.get(name);
    if (found == null || found.isNull()) throw new IllegalArgumentException("the case has no field " + name);
    return found;
  }

  /** The serde of the case's keys. Programs handle keys only as they are, so they need no type of their own. */
  @SuppressWarnings("unchecked")
  Serde<Object> keySerde() {
    Serde<?> serde =
        switch (text("keyType")) {
          case "int64" -> Serdes.Long();
          case "int32" -> Serdes.Integer();
          case "string" -> Serdes.String();
          default -> throw new IllegalArgumentException("unknown keyType " + text("keyType"));
        };
    return (Serde<Object>) serde;
  }

  /** A global table's keys are texts, whatever the stream's keys are. */
  @SuppressWarnings("unchecked")
  Serde<Object> keySerdeOf(String topic) {
    boolean globalTable = kind().equals("stream-globaltable") && topic.equals("right");
    return globalTable ? (Serde<Object>) (Serde<?>) Serdes.String() : keySerde();
  }

  /** An input's key as its serde takes it. */
  Object key(JsonNode input) {
    JsonNode key = input.get("key");
    if (key == null || key.isNull()) return null;
    if (key.isTextual()) return key.asText();
    return text("keyType").equals("int32") ? (Object) key.asInt() : (Object) key.asLong();
  }
}
