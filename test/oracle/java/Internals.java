package oracle;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.TopologyTestDriver;

/** Fields of Kafka Streams that are not for others, for those who take a defect out of it. */
public final class Internals {

  private Internals() {}

  public static List<Object> processors(TopologyTestDriver driver) {
    Object topology = read(read(driver, "task"), "topology");
    List<Object> processors = new ArrayList<>();
    for (Object node : (List<?>) read(topology, "processorNodes")) {
      Object processor = read(node, "processor");
      if (processor != null) processors.add(processor);
    }
    return processors;
  }

  public static boolean has(Object owner, String name) {
    return field(owner, name) != null;
  }

  public static Object read(Object owner, String name) {
    try {
      return need(owner, name).get(owner);
    } catch (IllegalAccessException error) {
      throw new IllegalStateException(error);
    }
  }

  public static void write(Object owner, String name, Object value) {
    try {
      need(owner, name).set(owner, value);
    } catch (IllegalAccessException error) {
      throw new IllegalStateException(error);
    }
  }

  private static Field need(Object owner, String name) {
    Field found = field(owner, name);
    if (found == null) throw new IllegalStateException(owner.getClass() + " has no field " + name);
    return found;
  }

  /** Of the object's class, or of a superclass; null where there is none. */
  private static Field field(Object owner, String name) {
    for (Class<?> type = owner.getClass(); type != null; type = type.getSuperclass()) {
      for (Field found : type.getDeclaredFields()) {
        if (!found.getName().equals(name)) continue;
        found.setAccessible(true);
        return found;
      }
    }
    return null;
  }
}
