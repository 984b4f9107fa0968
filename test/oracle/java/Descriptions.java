package oracle;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.function.Consumer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * What Kafka Streams prints for topologies, as they are written and optimised. The answers are recorded in
 * test/unit/dsl/descriptions.json; the same programs stand in test/unit/dsl/description-programs.ts.
 */
public final class Descriptions {

  private static final Serde<String> TEXT = Serdes.String();
  private static final JoinWindows WINDOW =
      JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMillis(10), Duration.ofMillis(5));

  private Descriptions() {}

  public static void main(String[] args) {
    ObjectNode answers = OutputSerde.JSON.createObjectNode();
    programs().forEach((name, program) -> {
      ObjectNode texts = answers.putObject(name);
      texts.put("none", describe(program, StreamsConfig.NO_OPTIMIZATION));
      texts.put("all", describe(program, StreamsConfig.OPTIMIZE));
    });
    System.out.println(answers.toPrettyString());
  }

  private static String describe(Consumer<StreamsBuilder> program, String optimization) {
    StreamsBuilder builder = new StreamsBuilder();
    program.accept(builder);
    Properties settings = new Properties();
    settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, optimization);
    try {
      return builder.build(settings).describe().toString();
    } catch (RuntimeException error) {
      return error.toString();
    }
  }

  private static KStream<String, String> in(StreamsBuilder builder, String topic) {
    return builder.stream(topic, Consumed.with(TEXT, TEXT));
  }

  private static Grouped<String, String> grouped() {
    return Grouped.with(TEXT, TEXT);
  }

  private static void out(KStream<?, ?> stream, String topic) {
    @SuppressWarnings("unchecked")
    KStream<String, String> untyped = (KStream<String, String>) stream;
    untyped.to(topic, Produced.with(TEXT, TEXT));
  }

  private static Map<String, Consumer<StreamsBuilder>> programs() {
    Map<String, Consumer<StreamsBuilder>> programs = new LinkedHashMap<>();
    programs.put("two aggregates below a map", builder -> {
      KStream<String, String> mapped = in(builder, "in").map((k, v) -> KeyValue.pair(v, k));
      out(mapped.groupByKey(grouped()).count().toStream(), "counts");
      out(mapped.groupByKey(grouped()).reduce((a, b) -> a).toStream(), "last");
    });
    programs.put("one aggregate below a filter below a key change", builder ->
        out(in(builder, "in").selectKey((k, v) -> v).filter((k, v) -> true).groupByKey(grouped()).count().toStream(), "counts"));
    programs.put("aggregates and a join below a key change, with names", builder -> {
      KStream<String, String> keyed = in(builder, "in").selectKey((k, v) -> v, Named.as("rekey"));
      KStream<String, String> other = in(builder, "other");
      out(keyed.filter((k, v) -> true).groupByKey(Grouped.with("by-value", TEXT, TEXT)).count(Named.as("count"), Materialized.as("counts")).toStream(), "counts");
      out(keyed.join(other, (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT).withName("meet").withStoreName("meet-store")), "joined");
      out(keyed.peek((k, v) -> {}).groupByKey(grouped()).reduce((a, b) -> a).toStream(), "last");
    });
    programs.put("a value changes between key and aggregate", builder -> {
      KStream<String, String> keyed = in(builder, "in").selectKey((k, v) -> v);
      out(keyed.mapValues(v -> v).groupByKey(grouped()).count().toStream(), "a");
      out(keyed.groupByKey(grouped()).count().toStream(), "b");
      out(keyed.groupByKey(grouped()).count().toStream(), "c");
    });
    programs.put("a merge of changed keys", builder -> {
      KStream<String, String> a = in(builder, "a").selectKey((k, v) -> v);
      KStream<String, String> b = in(builder, "b").map((k, v) -> KeyValue.pair(v, v));
      KStream<String, String> both = a.merge(b);
      out(both.groupByKey(grouped()).count().toStream(), "counts");
      out(both.groupByKey(grouped()).reduce((x, y) -> x).toStream(), "last");
    });
    programs.put("a cogroup of changed keys", builder -> {
      KGroupedStream<String, String> a = in(builder, "a").selectKey((k, v) -> v).groupByKey(grouped());
      KGroupedStream<String, String> b = in(builder, "b").selectKey((k, v) -> v).groupByKey(grouped());
      KGroupedStream<String, String> c = in(builder, "c").groupByKey(grouped());
      out(a.<String>cogroup((k, v, agg) -> v).cogroup(b, (k, v, agg) -> v).cogroup(c, (k, v, agg) -> v)
          .aggregate(() -> "", Materialized.with(TEXT, TEXT)).toStream(), "out");
    });
    programs.put("a cogroup with names", builder -> {
      KGroupedStream<String, String> a = in(builder, "z").groupByKey(Grouped.with("from-z", TEXT, TEXT));
      KGroupedStream<String, String> b = in(builder, "y").selectKey((k, v) -> v).groupByKey(Grouped.with("from-y", TEXT, TEXT));
      KGroupedStream<String, String> c = in(builder, "x").selectKey((k, v) -> v).groupByKey(Grouped.with("from-x", TEXT, TEXT));
      out(a.<String>cogroup((k, v, agg) -> v).cogroup(b, (k, v, agg) -> v).cogroup(c, (k, v, agg) -> v)
          .aggregate(() -> "", Named.as("fold"), Materialized.as("folded")).toStream(), "out");
    });
    programs.put("a windowed cogroup of changed keys", builder -> {
      KGroupedStream<String, String> a = in(builder, "a").selectKey((k, v) -> v).groupByKey(grouped());
      KGroupedStream<String, String> b = in(builder, "b").selectKey((k, v) -> v).groupByKey(grouped());
      a.<String>cogroup((k, v, agg) -> v).cogroup(b, (k, v, agg) -> v)
          .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMillis(10), Duration.ofMillis(5)))
          .aggregate(() -> "", Materialized.with(TEXT, TEXT)).toStream().foreach((k, v) -> {});
    });
    programs.put("a table and its groups", builder -> {
      KTable<String, String> table = builder.table("t", Consumed.with(TEXT, TEXT), Materialized.as("rows"));
      out(table.groupBy((k, v) -> KeyValue.pair(v, k), grouped()).count().toStream(), "counts");
      out(in(builder, "in").join(table, (a, b) -> a, Joined.with(TEXT, TEXT, TEXT)), "joined");
    });
    programs.put("a stream joined with itself", builder -> {
      KStream<String, String> stream = in(builder, "in");
      out(stream.join(stream, (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT)), "out");
    });
    programs.put("a stream of a changed key joined with itself", builder -> {
      KStream<String, String> stream = in(builder, "in").selectKey((k, v) -> v);
      out(stream.join(stream, (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT)), "out");
    });
    programs.put("one topic joined with itself, by two streams, with names", builder -> {
      KStream<String, String> one = in(builder, "in");
      KStream<String, String> two = in(builder, "in");
      out(one.join(two, (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT).withName("meet").withStoreName("meet")), "out");
    });
    programs.put("a left join with itself, and one below a filter", builder -> {
      KStream<String, String> stream = in(builder, "in");
      out(stream.leftJoin(stream, (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT)), "left");
      out(stream.join(stream.filter((k, v) -> true), (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT)), "filtered");
    });
    programs.put("sub-topologies by the names of their sources", builder -> {
      out(builder.stream("z", Consumed.with(TEXT, TEXT).withName("z-source")), "from-z");
      out(in(builder, "b").repartition(Repartitioned.with(TEXT, TEXT).withName("again")), "from-b");
      builder.globalTable("g", Consumed.with(TEXT, TEXT));
      out(builder.stream("a", Consumed.with(TEXT, TEXT).withName("a-source")), "from-a");
      out(builder.table("t", Consumed.with(TEXT, TEXT), Materialized.as("named")).toStream(), "from-t");
    });
    programs.put("tables of streams of changed keys", builder -> {
      KStream<String, String> keyed = in(builder, "in").selectKey((k, v) -> v);
      KTable<String, String> table = keyed.toTable(Materialized.with(TEXT, TEXT));
      out(keyed.join(table, (a, b) -> a, Joined.with(TEXT, TEXT, TEXT)), "joined");
      out(keyed.leftJoin(table, (a, b) -> a, Joined.with(TEXT, TEXT, TEXT)), "left");
    });
    programs.put("branches of a changed key", builder -> {
      Map<String, KStream<String, String>> branches =
          in(builder, "in").selectKey((k, v) -> v).split(Named.as("s-"))
              .branch((k, v) -> true)
              .branch((k, v) -> true, Branched.as("b"))
              .branch((k, v) -> true, Branched.withConsumer(s -> out(s, "used")))
              .branch((k, v) -> true, Branched.withFunction(s -> s.filter((k, v) -> true), "f"))
              .defaultBranch();
      out(branches.get("s-1").groupByKey(grouped()).count().toStream(), "one");
      out(branches.get("s-b").groupByKey(grouped()).count().toStream(), "b");
      out(branches.get("s-f"), "f");
      out(branches.get("s-0"), "rest");
    });
    programs.put("tables joined by foreign key", builder -> {
      KTable<String, String> left = builder.table("left", Consumed.with(TEXT, TEXT));
      KTable<String, String> right = builder.table("right", Consumed.with(TEXT, TEXT));
      out(left.join(right, v -> v, (a, b) -> a, Materialized.with(TEXT, TEXT)).toStream(), "out");
    });
    programs.put("joins of tables", builder -> {
      KTable<String, String> a = builder.table("a", Consumed.with(TEXT, TEXT));
      KTable<String, String> b = builder.table("b", Consumed.with(TEXT, TEXT));
      KTable<String, String> c = in(builder, "c").selectKey((k, v) -> v).groupByKey(grouped()).reduce((x, y) -> x);
      out(a.join(b, (x, y) -> x).leftJoin(c, (x, y) -> x).filter((k, v) -> true).toStream(), "out");
    });
    programs.put("an outer join and a count below one key change", builder -> {
      KStream<String, String> keyed = in(builder, "in").selectKey((k, v) -> v);
      out(keyed.outerJoin(in(builder, "other"), (a, b) -> a, WINDOW, StreamJoined.with(TEXT, TEXT, TEXT)), "joined");
      out(keyed.groupByKey(grouped()).count().toStream(), "counts");
    });
    return programs;
  }
}
