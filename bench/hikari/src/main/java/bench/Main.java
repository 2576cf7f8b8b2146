package bench;

import com.sun.management.OperatingSystemMXBean;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * Measures one window for each line on standard input: "threads pool yield latency exhausted windowNanos". It answers with one line:
 * "ok pairs wallNanos cpuNanos least most p50 p99 p999" or "error ...". Between lines it sleeps in the read.
 */
public final class Main {
  private static volatile boolean stop;

  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    System.out.println("ready " + System.getProperty("java.version"));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      try {
        System.out.println(window(line.trim().split(" ")));
      } catch (Exception e) {
        System.out.println("error " + e);
      }
    }
  }

  /** One thread's part. */
  private static final class Worker extends Thread {
    final HikariDataSource pool;
    final boolean yield;
    final boolean latency;
    final CountDownLatch start;
    long pairs;
    long[] waits = new long[1024];
    int waited;
    Exception failure;

    Worker(HikariDataSource pool, boolean yield, boolean latency, CountDownLatch start) {
      this.pool = pool;
      this.yield = yield;
      this.latency = latency;
      this.start = start;
    }

    @Override public void run() {
      try {
        start.await();
        while (!stop) {
          long began = latency ? System.nanoTime() : 0;
          Connection c = pool.getConnection();
          if (latency) {
            if (waited == waits.length) {
              waits = Arrays.copyOf(waits, 2 * waited);
            }
            waits[waited++] = System.nanoTime() - began;
          }
          if (yield) {
            Thread.yield();
          }
          pairs++;
          c.close();
        }
      } catch (Exception e) {
        failure = e;
      }
    }
  }

  private static String window(String[] f) throws Exception {
    int threads = Integer.parseInt(f[0]);
    int size = Integer.parseInt(f[1]);
    boolean exhausted = Boolean.parseBoolean(f[4]);
    long nanos = Long.parseLong(f[5]);
    HikariConfig config = new HikariConfig();
    config.setDataSource(new NoopSource());
    config.setMaximumPoolSize(size);
    config.setMinimumIdle(size);
    try (HikariDataSource pool = new HikariDataSource(config)) {
      List<Connection> all = new ArrayList<>();
      for (int i = 0; i < size; i++) {
        all.add(pool.getConnection());
      }
      if (!exhausted) {
        giveBack(all);
      }
      stop = false;
      CountDownLatch start = new CountDownLatch(1);
      Worker[] workers = new Worker[threads];
      for (int i = 0; i < threads; i++) {
        workers[i] = new Worker(pool, Boolean.parseBoolean(f[2]), Boolean.parseBoolean(f[3]), start);
        workers[i].start();
      }
      OperatingSystemMXBean os = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
      long cpu = os.getProcessCpuTime();
      long began = System.nanoTime();
      start.countDown();
      if (exhausted) {
        Thread.sleep(5);
        giveBack(all);
      }
      Thread.sleep(nanos / 1_000_000, (int) (nanos % 1_000_000));
      stop = true;
      for (Worker w : workers) {
        w.join();
      }
      return summary(workers, System.nanoTime() - began, os.getProcessCpuTime() - cpu);
    }
  }

  private static void giveBack(List<Connection> all) throws Exception {
    for (Connection c : all) {
      c.close();
    }
  }

  private static String summary(Worker[] workers, long wall, long cpu) throws Exception {
    long pairs = 0;
    long least = Long.MAX_VALUE;
    long most = 0;
    int n = 0;
    for (Worker w : workers) {
      if (w.failure != null) {
        throw w.failure;
      }
      pairs += w.pairs;
      least = Math.min(least, w.pairs);
      most = Math.max(most, w.pairs);
      n += w.waited;
    }
    long[] waits = new long[n];
    int at = 0;
    for (Worker w : workers) {
      System.arraycopy(w.waits, 0, waits, at, w.waited);
      at += w.waited;
    }
    Arrays.sort(waits);
    return String.join(" ", "ok", "" + pairs, "" + wall, "" + cpu, "" + least, "" + most,
        "" + quantile(waits, .5), "" + quantile(waits, .99), "" + quantile(waits, .999));
  }

  private static long quantile(long[] sorted, double q) {
    return sorted.length == 0 ? 0 : sorted[Math.min(sorted.length - 1, (int) (q * sorted.length))];
  }
}
