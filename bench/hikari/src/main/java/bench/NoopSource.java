package bench;

import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.SQLFeatureNotSupportedException;
import java.util.logging.Logger;
import javax.sql.DataSource;

/** Makes connections that do nothing. */
final class NoopSource implements DataSource {
  @Override public Connection getConnection() { return new NoopConnection(); }
  @Override public Connection getConnection(String user, String password) { return new NoopConnection(); }
  @Override public PrintWriter getLogWriter() { return null; }
  @Override public void setLogWriter(PrintWriter out) {}
  @Override public void setLoginTimeout(int seconds) {}
  @Override public int getLoginTimeout() { return 0; }
  @Override public Logger getParentLogger() throws SQLFeatureNotSupportedException { throw new SQLFeatureNotSupportedException(); }
  @Override public <T> T unwrap(Class<T> type) throws SQLException { throw new SQLException("nothing is wrapped"); }
  @Override public boolean isWrapperFor(Class<?> type) { return false; }
}
