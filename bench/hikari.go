package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// hikariMost is the greatest number of goroutines for which HikariCP is asked: its threads are the operating system's.
const hikariMost = 256

// errNoRow says that a subject has no such row. That is no failure.
var errNoRow = errors.New("this pool has no such row")

// hikari is a Java process that measures HikariCP, one window for each line it is sent. Between two lines it sleeps.
type hikari struct {
	in            io.WriteCloser
	out           *bufio.Reader
	wait          func() error
	version, java string
}

// startHikari builds the Java part where that is needed, starts it, and warms its compiler up.
func startHikari(ctx context.Context, log io.Writer) (*hikari, error) {
	folder, err := source()
	if err != nil {
		return nil, err
	}
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is missing: apt-get install openjdk-17-jdk-headless maven", tool)
		}
	}
	target, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find a folder for HikariCP: %w", err)
	}
	target = filepath.Join(target, "herz-bench")
	if err := build(ctx, filepath.Join(folder, "hikari"), target, log); err != nil {
		return nil, err
	}
	path := filepath.Join(target, "hikari-bench.jar") + ":" + filepath.Join(target, "lib", "*")
	cmd := exec.CommandContext(ctx, "java", "-Xms256m", "-cp", path, "bench.Main") //nolint:gosec // our own jar
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start HikariCP: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start HikariCP: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start HikariCP: %w", err)
	}
	h := &hikari{in: in, out: bufio.NewReader(out), wait: cmd.Wait, version: hikariVersion(target)}
	if err := h.warm(ctx); err != nil {
		h.stop()
		return nil, err
	}
	return h, nil
}

// source is this package's folder: the Java part lies in it.
func source() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", errors.New("start HikariCP: the bench's own source is not known: run it by go run, without -trimpath")
	}
	return filepath.Dir(file), nil
}

func build(ctx context.Context, folder, target string, log io.Writer) error {
	if fresh(folder, target) {
		return nil
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", folder, "-Dbench.target="+target, "package") //nolint:gosec // our own folders
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build HikariCP's part by mvn: %w", err)
	}
	return nil
}

// fresh reports whether the jar is newer than everything it is made of.
func fresh(folder, target string) bool {
	jar, err := os.Stat(filepath.Join(target, "hikari-bench.jar"))
	if err != nil {
		return false
	}
	sources, _ := filepath.Glob(filepath.Join(folder, "src", "main", "java", "bench", "*.java"))
	for _, path := range append(sources, filepath.Join(folder, "pom.xml")) {
		if s, err := os.Stat(path); err != nil || s.ModTime().After(jar.ModTime()) {
			return false
		}
	}
	return true
}

func hikariVersion(target string) string {
	jars, _ := filepath.Glob(filepath.Join(target, "lib", "HikariCP-*.jar"))
	if len(jars) == 0 {
		return "unknown"
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "HikariCP-"), ".jar")
}

// warm lets the just-in-time compiler see every kind of row before one counts.
func (h *hikari) warm(ctx context.Context) error {
	line, err := h.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		return fmt.Errorf("start HikariCP: it said %q: %w", line, err)
	}
	h.java = strings.TrimSpace(strings.TrimPrefix(line, "ready "))
	for range 3 {
		for _, w := range []work{
			{Goroutines: 1, Pool: 8},
			{Goroutines: 16, Pool: 8},
			{Goroutines: 16, Pool: 8, Yield: true},
			{Goroutines: 16, Pool: 8, Yield: true, Latency: true},
		} {
			w.Window = 300 * time.Millisecond
			if _, err := h.measure(ctx, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure asks for one window.
func (h *hikari) measure(ctx context.Context, w work) (sample, error) {
	if w.Fresh || w.Goroutines > hikariMost {
		return sample{}, errNoRow
	}
	if err := ctx.Err(); err != nil {
		return sample{}, err
	}
	_, err := fmt.Fprintf(h.in, "%d %d %v %v %v %d\n", w.Goroutines, w.Pool, w.Yield, w.Latency, w.Exhausted, w.Window.Nanoseconds())
	if err != nil {
		return sample{}, fmt.Errorf("ask HikariCP: %w", err)
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		return sample{}, fmt.Errorf("hear from HikariCP: %w", err)
	}
	return answer(line, w)
}

// answer reads what the Java process says of a window.
func answer(line string, w work) (sample, error) {
	var pairs, wall, cpu, least, most, p50, p99, p999 float64
	if _, err := fmt.Sscanf(line, "ok %g %g %g %g %g %g %g %g", &pairs, &wall, &cpu, &least, &most, &p50, &p99, &p999); err != nil {
		return sample{}, fmt.Errorf("hear from HikariCP: it said %q", strings.TrimSpace(line))
	}
	if pairs == 0 || wall == 0 {
		return sample{}, errors.New("hear from HikariCP: nobody got a connection in the whole window")
	}
	s := sample{NsPerPair: wall / pairs, CPUWall: cpu / wall, P50: p50, P99: p99, P999: p999}
	if w.Window >= long && w.Yield && least > 0 {
		s.Fairness = most / least
	}
	return s, nil
}

// stop ends the process.
func (h *hikari) stop() {
	_ = h.in.Close()
	_ = h.wait()
}
