package org.apache.kafka.streams.kstream.internals;

import java.lang.reflect.Field;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.streams.TopologyTestDriver;

/**
 * Takes a defect out of left and outer joins of streams. They remember the smallest time of their unmatched
 * records, to look at the store only when one may be over. But the look itself overwrites that time with a later
 * one, and whether one may be over is asked with the wrong side's window; so some come out later than the rule
 * says. With this in its place the join looks at every record, and all else is as it was.
 *
 * It lies in Kafka Streams' package because what it takes the place of is visible only there.
 */
public final class AlwaysLooks extends KStreamImplJoin.TimeTracker {

  private AlwaysLooks() {
    setEmitInterval(0);
  }

  /** A join calls this first, for each record. */
  @Override
  public void advanceStreamTime(long recordTimestamp) {
    super.advanceStreamTime(recordTimestamp);
    minTime = Long.MIN_VALUE;
  }

  /** To be called before the first record. The two sides of a join share one, as before. */
  public static void install(TopologyTestDriver driver) {
    Map<Object, AlwaysLooks> replacements = new IdentityHashMap<>();
    Object topology = read(read(driver, "task"), "topology");
    for (Object node : (List<?>) read(topology, "processorNodes")) {
      Object processor = read(node, "processor");
      Field tracker = processor == null ? null : field(processor.getClass(), "sharedTimeTracker");
      if (tracker == null) continue;
      AlwaysLooks replacement =
          replacements.computeIfAbsent(read(processor, "sharedTimeTracker"), old -> new AlwaysLooks());
      try {
        tracker.set(processor, replacement);
      } catch (IllegalAccessException error) {
        throw new IllegalStateException(error);
      }
    }
  }

  private static Object read(Object from, String name) {
    Field found = field(from.getClass(), name);
    if (found == null) throw new IllegalStateException(from.getClass() + " has no field " + name);
    try {
      return found.get(from);
    } catch (IllegalAccessException error) {
      throw new IllegalStateException(error);
    }
  }

  /** A class's field, or its superclass's; null where there is none. */
  private static Field field(Class<?> start, String name) {
    for (Class<?> type = start; type != null; type = type.getSuperclass()) {
      for (Field found : type.getDeclaredFields()) {
        if (!found.getName().equals(name)) continue;
        found.setAccessible(true);
        return found;
      }
    }
    return null;
  }
}
