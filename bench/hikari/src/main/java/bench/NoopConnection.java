package bench;

import java.sql.*;

/** A connection that does nothing, written out in full: a reflection proxy would cost more than the pool. */
final class NoopConnection implements Connection {
  @Override public Statement createStatement() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public PreparedStatement prepareStatement(String a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public CallableStatement prepareCall(String a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public String nativeSQL(String a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public void setAutoCommit(boolean a0) {}
  @Override public boolean getAutoCommit() { return true; }
  @Override public void commit() {}
  @Override public void rollback() {}
  @Override public void close() {}
  @Override public boolean isClosed() { return false; }
  @Override public DatabaseMetaData getMetaData() { return null; }
  @Override public void setReadOnly(boolean a0) {}
  @Override public boolean isReadOnly() { return false; }
  @Override public void setCatalog(String a0) {}
  @Override public String getCatalog() { return null; }
  @Override public void setTransactionIsolation(int a0) {}
  @Override public int getTransactionIsolation() { return TRANSACTION_READ_COMMITTED; }
  @Override public SQLWarning getWarnings() { return null; }
  @Override public void clearWarnings() {}
  @Override public Statement createStatement(int a0, int a1) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public PreparedStatement prepareStatement(String a0, int a1, int a2) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public CallableStatement prepareCall(String a0, int a1, int a2) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public java.util.Map<String, Class<?>> getTypeMap() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public void setTypeMap(java.util.Map<String, Class<?>> a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public void setHoldability(int a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public int getHoldability() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Savepoint setSavepoint() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Savepoint setSavepoint(String a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public void rollback(Savepoint a0) {}
  @Override public void releaseSavepoint(Savepoint a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Statement createStatement(int a0, int a1, int a2) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public PreparedStatement prepareStatement(String a0, int a1, int a2, int a3) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public CallableStatement prepareCall(String a0, int a1, int a2, int a3) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public PreparedStatement prepareStatement(String a0, int a1) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public PreparedStatement prepareStatement(String a0, int[] a1) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public PreparedStatement prepareStatement(String a0, String[] a1) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Clob createClob() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Blob createBlob() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public NClob createNClob() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public SQLXML createSQLXML() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public boolean isValid(int a0) { return true; }
  @Override public void setClientInfo(String a0, String a1) {}
  @Override public void setClientInfo(java.util.Properties a0) {}
  @Override public String getClientInfo(String a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public java.util.Properties getClientInfo() throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Array createArrayOf(String a0, Object[] a1) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public Struct createStruct(String a0, Object[] a1) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public void setSchema(String a0) {}
  @Override public String getSchema() { return null; }
  @Override public void abort(java.util.concurrent.Executor a0) {}
  @Override public void setNetworkTimeout(java.util.concurrent.Executor a0, int a1) {}
  @Override public int getNetworkTimeout() { return 0; }
  @Override public <T> T unwrap(Class<T> a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
  @Override public boolean isWrapperFor(Class<?> a0) throws SQLException { throw new SQLFeatureNotSupportedException("this connection does nothing"); }
}
