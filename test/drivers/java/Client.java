/** pgjdbc: one connection. What it sees goes out as JSON lines; scenario and table come from the command line. */
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.core.BaseConnection;
import org.postgresql.core.TransactionState;

public final class Client {
  private interface Act {
    Object run() throws Exception;
  }

  private final Connection connection;
  private final String table;

  private Client(Connection connection, String table) {
    this.connection = connection;
    this.table = table;
  }

  private static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') out.append('\\').append(c);
      else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
      else out.append(c);
    }
    return out.append('"').toString();
  }

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  /** Tells what act returned, or its error's class, SQLSTATE and message. */
  private static void step(String name, Act act) {
    long from = System.nanoTime();
    String seen;
    try {
      Object value = act.run();
      seen = "\"value\":" + (value instanceof String text ? quoted(text) : value);
    } catch (Exception error) {
      Exception inner = error instanceof SQLException batch && batch.getNextException() != null ? batch.getNextException() : error;
      String state = inner instanceof SQLException sql && sql.getSQLState() != null ? ",\"sqlstate\":" + quoted(sql.getSQLState()) : "";
      seen = "\"error\":{\"class\":" + quoted(inner.getClass().getSimpleName()) + state + ",\"message\":" + quoted(String.valueOf(inner.getMessage())) + "}";
    }
    say("{\"step\":" + quoted(name) + "," + seen + ",\"ms\":" + (System.nanoTime() - from) / 1_000_000 + "}");
  }

  private static void notices(Statement statement) throws SQLException {
    for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning())
      say("{\"notice\":" + quoted(warning.getMessage()) + "}");
  }

  /** The warnings of a statement that is still executing can be read from another thread. */
  private static Thread watch(Statement statement) {
    Thread watcher = new Thread(() -> {
      try {
        while (statement.getWarnings() == null) Thread.sleep(20);
        notices(statement);
      } catch (SQLException | InterruptedException ended) {
        // the statement ended without a warning
      }
    });
    watcher.setDaemon(true);
    watcher.start();
    return watcher;
  }

  private Object run(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      Thread watcher = watch(statement);
      statement.execute(sql);
      watcher.interrupt();
      return statement.getUpdateCount();
    }
  }

  private Object one() throws SQLException {
    return run("SELECT 1");
  }

  private Object state() throws SQLException {
    TransactionState state = connection.unwrap(BaseConnection.class).getTransactionState();
    return state.name();
  }

  private String insert(int id) {
    return "INSERT INTO " + table + " VALUES (" + id + ", 0)";
  }

  private void play(String scenario) throws Exception {
    String delete = "DELETE FROM " + table;
    switch (scenario) {
      case "begin-approve", "begin-deny" -> {
        connection.setAutoCommit(false);
        run(insert(4));
        step("held", () -> run(delete));
        step("status", this::state);
        if (scenario.equals("begin-deny")) {
          step("next", this::one);
          step("rollback", () -> { connection.rollback(); return 1; });
        } else {
          step("commit", () -> { connection.commit(); return 1; });
        }
        connection.setAutoCommit(true);
      }
      case "prepared" -> {
        // prepareThreshold=1: a server-side name from the first execution on
        try (PreparedStatement update = connection.prepareStatement("UPDATE " + table + " SET v = ?")) {
          for (int value : new int[] {10, 20})
            step(value == 10 ? "held" : "again", () -> {
              update.setInt(1, value);
              return update.executeUpdate();
            });
        }
      }
      case "pipelined" -> {
        try (Statement batch = connection.createStatement()) {
          for (String text : new String[] {insert(4), delete, insert(5)}) batch.addBatch(text);
          step("batch", () -> Arrays.toString(batch.executeBatch()).transform(Client::raw));
        }
      }
      case "cancel" -> {
        try (Statement statement = connection.createStatement()) {
          Thread canceller = new Thread(() -> {
            try {
              System.in.read();
              statement.cancel();
            } catch (Exception error) {
              throw new IllegalStateException(error);
            }
          });
          canceller.setDaemon(true);
          canceller.start();
          step("held", () -> statement.executeUpdate(delete));
        }
      }
      case "timeout" -> {
        try (Statement statement = connection.createStatement()) {
          statement.setQueryTimeout(3);
          step("held", () -> statement.executeUpdate(delete));
        }
      }
      case "beside" -> {
        beside();
        step("beside", this::one);
      }
      default -> step("held", () -> run(delete));
    }
    step("after", this::one);
  }

  /** A value that is JSON already. */
  private static Object raw(String json) {
    return new StringBuilder(json);
  }

  private static int rows(ResultSet results) throws SQLException {
    int count = 0;
    while (results.next()) count++;
    results.close();
    return count;
  }

  private void beside() {
    step("isValid", () -> connection.isValid(5));
    step("getTables", () -> rows(connection.getMetaData().getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})));
    step("getColumns", () -> rows(connection.getMetaData().getColumns(null, "public", "customers", "%")));
    step("getPrimaryKeys", () -> rows(connection.getMetaData().getPrimaryKeys(null, "public", "customers")));
    step("getIndexInfo", () -> rows(connection.getMetaData().getIndexInfo(null, "public", "customers", false, true)));
    step("getImportedKeys", () -> rows(connection.getMetaData().getImportedKeys(null, "public", "orders")));
    step("getTypeInfo", () -> rows(connection.getMetaData().getTypeInfo()));
    step("getSchemas", () -> rows(connection.getMetaData().getSchemas()));
    step("isolation", () -> {
      connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
      connection.setReadOnly(true);
      connection.setAutoCommit(false);
      one();
      connection.rollback(connection.setSavepoint("here"));
      connection.commit();
      connection.setAutoCommit(true);
      connection.setReadOnly(false);
      return 1;
    });
    step("cursor", () -> {
      connection.setAutoCommit(false);
      try (Statement statement = connection.createStatement()) {
        statement.setFetchSize(3);
        int count = rows(statement.executeQuery("SELECT id FROM customers WHERE id <= 10"));
        connection.commit();
        return count;
      } finally {
        connection.setAutoCommit(true);
      }
    });
    step("setNetworkTimeout", () -> { connection.setNetworkTimeout(Runnable::run, 60_000); return 1; });
    step("setSchema", () -> connection.getSchema());
    step("setClientInfo", () -> { connection.setClientInfo("ApplicationName", "reports"); return 1; });
    for (String sql : new String[] {"SET statement_timeout = 30000", "DEALLOCATE ALL", "DISCARD ALL"})
      step(sql, () -> run(sql));
  }

  public static void main(String[] words) throws Exception {
    URI url = URI.create(System.getenv("DRIVER_URL"));
    String[] login = url.getUserInfo().split(":", 2);
    Properties options = new Properties();
    options.setProperty("user", login[0]);
    options.setProperty("password", login[1]);
    options.setProperty("prepareThreshold", "1");
    try (Connection connection = DriverManager.getConnection("jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath(), options)) {
      new Client(connection, words[1]).play(words[0]);
    }
  }
}
