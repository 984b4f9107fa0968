package oracle;

import org.apache.kafka.streams.TopologyTestDriver;

/**
 * Takes a defect out of suppression until windows close: the end belongs to a sliding window and to a session, so
 * that a record at the very end may still change it, but suppression lets it go as final at that moment. One
 * millisecond more, and it waits until no record can change it.
 */
final class FinalAtTheEnd {

  private FinalAtTheEnd() {}

  /** To be called before the first record. */
  static void install(TopologyTestDriver driver, Case vector) {
    if (!vector.kind().equals("window-aggregate")) return;
    String windows = vector.part("windows").get("type").asText();
    if (!windows.equals("sliding") && !windows.equals("session")) return;
    for (Object processor : Internals.processors(driver)) {
      if (!Internals.has(processor, "suppressDurationMillis")) continue;
      long waitMs = (long) Internals.read(processor, "suppressDurationMillis");
      Internals.write(processor, "suppressDurationMillis", waitMs + 1);
    }
  }
}
