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
import java.util.stream.Stream;

/**
 * What Kafka Streams itself does: reads cases in the form of the shared vectors, one line of JSON each, from
 * stdin, and answers each, in order, with a line of its name and `expected` (or `error`, where the case cannot
 * be run). Called by test/oracle/kafka-streams.ts.
 */
public final class Oracle {

  private Oracle() {}

  public static void main(String[] args) throws IOException {
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Nobody else may write between the answers.
    System.setOut(System.err);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String answer : lines.lines().parallel().map(Oracle::answer).toList()) answers.println(answer);
    answers.flush();
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
    } catch (Exception error) {
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
