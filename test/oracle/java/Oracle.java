package oracle;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Stream;

/**
 * What Kafka Streams itself does: reads cases in the form of the shared vectors, one line of JSON each, from
 * stdin, and answers each, in order, with a line of its name and `expected` (or `error`, where the case cannot
 * be run). Several cases are run at a time; ends with the input. Called by test/oracle/kafka-streams.ts.
 */
public final class Oracle {

  /** The stores open and delete many files, which is waiting more than computing. */
  private static final int CASES_AT_A_TIME = 4;

  private static final CompletableFuture<String> END = CompletableFuture.completedFuture("");

  private Oracle() {}

  public static void main(String[] args) throws IOException, InterruptedException {
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Nobody else may write between the answers.
    System.setOut(System.err);
    BlockingQueue<CompletableFuture<String>> answers = new LinkedBlockingQueue<>();
    Thread printer = new Thread(() -> print(answers, out));
    printer.start();
    ExecutorService workers = Executors.newFixedThreadPool(CASES_AT_A_TIME);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String question = line;
      answers.add(CompletableFuture.supplyAsync(() -> answer(question), workers));
    }
    answers.add(END);
    printer.join();
    workers.shutdown();
  }

  private static void print(BlockingQueue<CompletableFuture<String>> answers, PrintStream out) {
    try {
      for (CompletableFuture<String> next = answers.take(); next != END; next = answers.take()) {
        out.println(next.join());
        out.flush();
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private static String answer(String line) {
    ObjectNode answer = OutputSerde.JSON.createObjectNode();
    try {
      Case vector = new Case(OutputSerde.JSON.readTree(line));
      answer.put("name", vector.text("name"));
      Path folder = Files.createTempDirectory("millrace-oracle-");
      try {
        Replay.into(answer, vector, folder);
      } finally {
        delete(folder);
      }
    } catch (Exception | LinkageError error) {
      answer.remove("expected");
      answer.put("error", reason(error));
    }
    return answer.toString();
  }

  private static String reason(Throwable error) {
    Throwable cause = error.getCause();
    return error + (cause == null ? "" : "; " + reason(cause));
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> found = Files.walk(folder)) {
      for (Path path : found.sorted(Comparator.reverseOrder()).toList()) Files.deleteIfExists(path);
    }
  }
}
