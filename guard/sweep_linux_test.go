package guard_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// blackHole makes the kernel drop every packet that arrives at s, so that nothing is acknowledged, read or reset.
func blackHole(s *net.TCPConn) error {
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	prog := unix.SockFprog{Len: 1, Filter: &filter[0]}
	var err error
	cerr := must(s.SyscallConn()).Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
	})
	return errors.Join(cerr, err)
}

func heal(t *testing.T, s *net.TCPConn) {
	t.Helper()
	var err error
	cerr := must(s.SyscallConn()).Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
	if err = errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
}

// A query that is in flight when the path goes dark ends within HeartbeatTimeout, with an error that forbids a blind repeat.
func TestBlackHoleEndsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	const n = 12
	times, errs := make([]time.Duration, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		nc, _, s := pair(t, guard.Options{})
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 83 * time.Millisecond)
			if errs[i] = blackHole(s); errs[i] != nil {
				return
			}
			start := time.Now()
			nc.Write([]byte("select"))
			_, errs[i] = nc.Read(make([]byte, 1))
			times[i] = time.Since(start)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if errors.Is(err, syscall.EPERM) {
			needed(t, err, "attach a socket filter")
		}
		var a *guard.AmbiguousError
		if !errors.As(err, &a) || a.Cause != conn.Unacked || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("in flight: got %v, want an AmbiguousError by Unacked with ETIMEDOUT", err)
		}
		if times[i] > guard.DefaultHeartbeatTimeout {
			t.Errorf("in flight: ended after %v, want at most %v", times[i], guard.DefaultHeartbeatTimeout)
		}
	}
	t.Log("in flight:", spread(times))
}

// A query that was acknowledged before the path went dark ends within HeartbeatTimeout too.
func TestBlackHoleEndsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	const n = 12
	times, errs := make([]time.Duration, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		nc, _, s := pair(t, guard.Options{})
		wg.Go(func() {
			nc.Write([]byte("select"))
			io.ReadFull(s, make([]byte, 6))
			answer := make(chan error, 1)
			go func() {
				_, err := nc.Read(make([]byte, 1))
				answer <- err
			}()
			time.Sleep(time.Duration(i) * 150 * time.Millisecond)
			if errs[i] = blackHole(s); errs[i] != nil {
				nc.Close()
				<-answer
				return
			}
			start := time.Now()
			errs[i] = <-answer
			times[i] = time.Since(start)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if errors.Is(err, syscall.EPERM) {
			needed(t, err, "attach a socket filter")
		}
		var a *guard.AmbiguousError
		if !errors.As(err, &a) || a.Cause != conn.KeepAlive || !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("acknowledged: got %v, want an AmbiguousError by KeepAlive with ETIMEDOUT", err)
		}
		if times[i] > guard.DefaultHeartbeatTimeout {
			t.Errorf("acknowledged: ended after %v, want at most %v", times[i], guard.DefaultHeartbeatTimeout)
		}
	}
	t.Log("acknowledged and then silent:", spread(times))
}

// An outage of 1.5 s is ridden out: the connection lives, and the answer comes.
func TestShortOutageIsNoDeath(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		nc, g, s := pair(t, guard.Options{})
		wg.Go(func() {
			err := blackHole(s)
			if errors.Is(err, syscall.EPERM) {
				return // the tests above say so
			}
			time.Sleep(time.Duration(i) * 40 * time.Millisecond)
			go io.Copy(s, s)
			nc.Write([]byte("select"))
			time.AfterFunc(1500*time.Millisecond, func() { heal(t, s) })
			start := time.Now()
			if _, err = io.ReadFull(nc, make([]byte, 6)); err != nil || g.Dead() {
				t.Errorf("after an outage of 1.5 s: %v", err)
			}
			t.Log("answered after", time.Since(start).Round(time.Millisecond))
		})
	}
	wg.Wait()
}
