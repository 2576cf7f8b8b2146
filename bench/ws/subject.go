package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"herz.example/herz/bench/record"
	"herz.example/herz/herzws"
)

// serveEnv makes a process the server of a subject.
const serveEnv = "HERZ_BENCH_WS_SERVE"

// subject is a server.
type subject struct {
	name   string
	engine herzws.Engine
	named  bool    // the devices have names, and so an entry in the registry each
	most   float64 // KiB a connection
}

func subjects() []subject {
	return []subject{
		{"portable", herzws.Portable, false, 4},
		{"epoll", herzws.Epoll, false, 1},
		{"epoll, devices with names", herzws.Epoll, true, 1},
	}
}

// sample is what the server's process told.
type sample struct {
	Base, RSS, Loose int64 // bytes
	CPU              time.Duration
	Beats            uint64 // pings whose pongs came
	Goroutines       int
}

// interval is that of heartbeats: short, so that a window has many. The grace is in proportion to it what it is by default.
const interval = 2 * time.Second

// stepTime bounds each step of a measurement beside the window.
const stepTime = time.Minute

// measure starts a server in a process of its own, connects, and has it looked at.
func (s subject) measure(ctx context.Context, n int, window time.Duration) (got sample, err error) {
	self, err := os.Executable()
	if err != nil {
		return got, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stepTime+window)
	defer cancel()
	server := exec.CommandContext(ctx, self) //nolint:gosec // this program
	server.Env = append(os.Environ(), serveEnv+"="+s.name, "GODEBUG=")
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return got, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return got, err
	}
	if err = server.Start(); err != nil {
		return got, err
	}
	defer func() {
		_ = in.Close() // which ends it
		err = errors.Join(err, server.Wait())
	}()
	lines := bufio.NewReader(out)
	addr, err := lines.ReadString('\n')
	if err != nil {
		return got, fmt.Errorf("the server did not start: %w", err)
	}
	f := &fleet{addr: strings.TrimSpace(addr), named: s.named}
	defer f.leave()
	if err = f.join(ctx, n); err != nil {
		return got, err
	}
	if _, err = fmt.Fprintf(in, "%d %d\n", n, window.Nanoseconds()); err != nil {
		return got, err
	}
	raw, err := lines.ReadBytes('\n')
	if err != nil {
		return got, fmt.Errorf("the server did not answer: %w", err)
	}
	if err = json.Unmarshal(raw, &got); err != nil {
		return got, err
	}
	if got.Beats == 0 || f.lost.Load() > 0 {
		return got, fmt.Errorf("%d heartbeats, and %d connections were lost", got.Beats, f.lost.Load())
	}
	return got, nil
}

// serveAs is the server's process: it tells its address, waits for an order, measures, and waits for its end.
func serveAs(name string, in io.Reader, out io.Writer) error {
	var s subject
	for _, one := range subjects() {
		if one.name == name {
			s = one
		}
	}
	if s.name == "" {
		return fmt.Errorf("there is no subject %q", name)
	}
	ws := &herzws.Server{Config: herzws.Config{
		Engine: s.engine, Logger: slog.New(slog.DiscardHandler), Limits: herzws.Limits{Conns: 1 << 20},
		Heartbeat: herzws.Heartbeat{Interval: interval, Grace: interval / 3},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: ws, ReadHeaderTimeout: stepTime}
	go func() { _ = web.Serve(l) }() // until Close
	defer web.Close()                //nolint:errcheck // the process ends
	got := sample{Base: tidy()}
	if _, err = fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	orders := bufio.NewReader(in)
	order, err := orders.ReadString('\n')
	if err != nil {
		return fmt.Errorf("nobody gave an order: %w", err)
	}
	var n, window int64
	if _, err = fmt.Sscan(order, &n, &window); err != nil {
		return err
	}
	for end := time.Now().Add(stepTime); int64(ws.Stats().Conns) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d connections came", ws.Stats().Conns, n)
		}
	}
	tidy()
	time.Sleep(interval) // until all are pinged in their turn
	beats, cpu := ws.Stats().Pings, record.CPUTime()
	time.Sleep(time.Duration(window))
	got.CPU, got.Beats = record.CPUTime()-cpu, ws.Stats().Pings-beats
	got.Goroutines = runtime.NumGoroutine()
	got.Loose = resident()
	got.RSS = tidy()
	if int64(ws.Stats().Conns) != n {
		return fmt.Errorf("%d of %d connections are left", ws.Stats().Conns, n)
	}
	if err = json.NewEncoder(out).Encode(got); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, orders) // until the other process has done
	return err
}

// tidy collects, gives free pages back, and tells what is left.
func tidy() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	return resident()
}

// resident is the memory of this process that is in RAM (VmRSS), in bytes.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
