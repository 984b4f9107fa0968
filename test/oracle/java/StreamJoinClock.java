package oracle;

import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.processor.internals.ProcessorNode;
import org.apache.kafka.streams.processor.internals.StreamTask;

/**
 * Takes a defect out of left and outer joins of streams. They remember the smallest time of the unmatched records,
 * to look at the store only when one may be over; but the look itself overwrites that time with a later one, so
 * that some come out later than the rule says. Forgetting the time before each record makes the join always look,
 * and changes nothing else.
 */
final class StreamJoinClock {

  private final List<Object> trackers = new ArrayList<>();

  StreamJoinClock(TopologyTestDriver driver) {
    StreamTask task = (StreamTask) read(driver, "task");
    Object topology = read(task, "topology");
    for (Object node : (List<?>) read(topology, "processorNodes")) {
      Object processor = node instanceof ProcessorNode<?, ?, ?, ?> ? read(node, "processor") : null;
      if (processor == null) continue;
      Field tracker = field(processor.getClass(), "sharedTimeTracker");
      if (tracker != null) trackers.add(read(processor, "sharedTimeTracker"));
    }
  }

  void forget() {
    for (Object tracker : trackers) {
      try {
        field(tracker.getClass(), "minTime").setLong(tracker, Long.MIN_VALUE);
      } catch (IllegalAccessException error) {
        throw new IllegalStateException(error);
      }
    }
  }

  private static Object read(Object from, String name) {
    try {
      Field found = field(from.getClass(), name);
      if (found == null) throw new IllegalStateException(from.getClass() + " has no field " + name);
      return found.get(from);
    } catch (IllegalAccessException error) {
      throw new IllegalStateException(error);
    }
  }

  private static Field field(Class<?> start, String name) {
    for (Class<?> type = start; type != null; type = type.getSuperclass()) {
      try {
        Field found = type.getDeclaredField(name);
        found.setAccessible(true);
        return found;
      } catch (NoSuchFieldException absent) {
        // It may be the superclass's.
      }
    }
    return null;
  }
}
