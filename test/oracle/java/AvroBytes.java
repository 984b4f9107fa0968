package oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** What Java's Avro makes of records, in the form of Confluent's serializer: 0, the schema's id, Avro binary. */
final class AvroBytes {

  private AvroBytes() {}

  /**
   * For each value its bytes by `schema` and, where the question has a `reader`, `reread`: the bytes by the reader's
   * schema of what that reads from them.
   */
  static void into(ObjectNode answer, JsonNode question) throws IOException {
    Schema schema = new Schema.Parser().parse(question.get("schema").asText());
    int id = question.get("schemaId").asInt();
    ArrayNode bytes = answer.putArray("bytes");
    ArrayNode reread = answer.putArray("reread");
    for (JsonNode value : question.get("values")) {
      byte[] written = write(schema, id, valueOf(schema, value));
      bytes.add(HexFormat.of().formatHex(written));
      if (!question.has("reader")) continue;
      Schema reader = new Schema.Parser().parse(question.get("reader").asText());
      reread.add(HexFormat.of().formatHex(write(reader, id, read(written, schema, reader))));
    }
  }

  private static byte[] write(Schema schema, int id, Object value) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(0);
    out.write(ByteBuffer.allocate(4).putInt(id).array());
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
    new GenericDatumWriter<>(schema).write(value, encoder);
    encoder.flush();
    return out.toByteArray();
  }

  private static Object read(byte[] bytes, Schema writer, Schema reader) throws IOException {
    GenericDatumReader<Object> datum = new GenericDatumReader<>(writer, reader);
    return datum.read(null, DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, null));
  }

  /** Shape: numbers as texts, bytes as hexadecimal texts, a union's value as `{branch, value}`. */
  private static Object valueOf(Schema schema, JsonNode json) {
    return switch (schema.getType()) {
      case NULL -> null;
      case BOOLEAN -> json.asBoolean();
      case INT -> Integer.parseInt(json.asText());
      case LONG -> Long.parseLong(json.asText());
      case FLOAT -> Float.parseFloat(json.asText());
      case DOUBLE -> Double.parseDouble(json.asText());
      case STRING -> json.asText();
      case BYTES -> ByteBuffer.wrap(HexFormat.of().parseHex(json.asText()));
      case FIXED -> new GenericData.Fixed(schema, HexFormat.of().parseHex(json.asText()));
      case ENUM -> new GenericData.EnumSymbol(schema, json.asText());
      case UNION -> valueOf(schema.getTypes().get(json.get("branch").asInt()), json.get("value"));
      case ARRAY -> {
        List<Object> items = new ArrayList<>();
        for (JsonNode item : json) items.add(valueOf(schema.getElementType(), item));
        yield items;
      }
      case MAP -> {
        Map<String, Object> entries = new LinkedHashMap<>();
        json.fieldNames().forEachRemaining(k -> entries.put(k, valueOf(schema.getValueType(), json.get(k))));
        yield entries;
      }
      case RECORD -> {
        GenericData.Record record = new GenericData.Record(schema);
        for (Schema.Field field : schema.getFields())
          record.put(field.pos(), valueOf(field.schema(), json.get(field.name())));
        yield record;
      }
    };
  }
}
