package org.apache.kafka.streams.kstream.internals;

import java.util.IdentityHashMap;
import java.util.Map;
import oracle.Internals;
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
    for (Object processor : Internals.processors(driver)) {
      if (!Internals.has(processor, "sharedTimeTracker")) continue;
      Object tracker = Internals.read(processor, "sharedTimeTracker");
      AlwaysLooks replacement = replacements.computeIfAbsent(tracker, old -> new AlwaysLooks());
      Internals.write(processor, "sharedTimeTracker", replacement);
    }
  }
}
