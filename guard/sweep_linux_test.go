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

// filter is the fault of these tests.
const filter = "attach a socket filter that drops everything"

// blackHole makes the kernel drop every packet that arrives at s, so that nothing is acknowledged, read or reset.
func blackHole(s *net.TCPConn) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	prog := unix.SockFprog{Len: 1, Filter: &drop[0]}
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
			possible(t, err, filter)
			return
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
			possible(t, err, filter)
			return
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
			if !possible(t, blackHole(s), filter) {
				return
			}
			time.Sleep(time.Duration(i) * 40 * time.Millisecond)
			go io.Copy(s, s)
			nc.Write([]byte("select"))
			time.AfterFunc(1500*time.Millisecond, func() { heal(t, s) })
			start := time.Now()
			if _, err := io.ReadFull(nc, make([]byte, 6)); err != nil || g.Dead() {
				t.Errorf("after an outage of 1.5 s: %v", err)
			}
			t.Log("answered after", time.Since(start).Round(time.Millisecond))
		})
	}
	wg.Wait()
}

// A path that goes dark in the middle of an answer is bounded as well.
func TestBlackHoleEndsAHalfReadAnswer(t *testing.T) {
	t.Parallel()
	nc, _, s := pair(t, guard.SQL)
	ask(t, nc, s)
	answer(t, nc, s)
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	time.Sleep(300 * time.Millisecond)
	if !possible(t, blackHole(s), filter) {
		nc.Close()
		return
	}
	start := time.Now()
	wantAmbiguous(t, <-read, conn.KeepAlive, syscall.ETIMEDOUT)
	if took := time.Since(start); took > guard.DefaultHeartbeatTimeout {
		t.Errorf("ended after %v", took)
	}
}

// A reader that only listens is told within HeartbeatTimeout when ListenKeepAlive is set.
func TestBlackHoleEndsAListener(t *testing.T) {
	t.Parallel()
	nc, g, s := pair(t, guard.Options{ListenKeepAlive: true})
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	time.Sleep(50 * time.Millisecond)
	if !possible(t, blackHole(s), filter) {
		nc.Close()
		return
	}
	start := time.Now()
	wantDead(t, <-read, conn.KeepAlive, true)
	if took := time.Since(start); took > guard.DefaultHeartbeatTimeout {
		t.Errorf("ended after %v", took)
	}
	if d, _ := g.Death(); d.Cause != conn.KeepAlive {
		t.Errorf("death %v", d)
	}
}

// A peer whose window is shut and that then disappears is found too, although nothing of ours is in flight.
func TestBlackHoleBehindAShutWindow(t *testing.T) {
	t.Parallel()
	nc, _, s := pair(t, guard.Options{})
	s.SetReadBuffer(1 << 14)
	wrote := make(chan error, 1)
	go func() {
		_, err := nc.Write(make([]byte, 32<<20))
		wrote <- err
	}()
	time.Sleep(2 * time.Second)
	if !possible(t, blackHole(s), filter) {
		nc.Close()
		return
	}
	start := time.Now()
	a := wantAmbiguous(t, <-wrote, conn.Unacked, syscall.ETIMEDOUT)
	took := time.Since(start)
	t.Log("behind a shut window:", took, a.Detail)
	if took > 2*guard.DefaultHeartbeatTimeout {
		t.Errorf("ended after %v", took)
	}
}

// A peer that acknowledges and reads nothing for 8 s is slow, not dead.
func TestSlowReaderLives(t *testing.T) {
	t.Parallel()
	nc, g, s := pair(t, guard.Options{})
	wrote := make(chan error, 1)
	go func() {
		_, err := nc.Write(make([]byte, 32<<20))
		wrote <- err
	}()
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if d, dead := g.Death(); dead {
			t.Fatalf("a slow peer was cut: %v", d)
		}
	}
	go io.Copy(io.Discard, s)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// A peer that thinks for 5 s before it answers is slow, not dead; afterwards the socket has its own keep-alive back, and the
// sweep has gone.
func TestSlowAnswerLivesAndIsDisarmed(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	before := keepAlive(t, g)
	ask(t, nc, s)
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	eventually(t, "keep-alive is armed", func() bool { return guard.Armed(g) })
	if got := keepAlive(t, g); got[0] != 1 || got[1] != 1 {
		t.Errorf("armed keep-alive %v, want 1 s, 1 s", got)
	}
	time.Sleep(5 * time.Second)
	io.WriteString(s, "x")
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	eventually(t, "keep-alive is disarmed", func() bool { return !guard.Armed(g) })
	if got := keepAlive(t, g); got != before {
		t.Errorf("keep-alive %v, want %v again", got, before)
	}
	eventually(t, "the sweep has ended", func() bool { return !guard.Sweeping() })
}

// A connection whose last message has no answer (COM_STMT_CLOSE) is idle, not waiting.
func TestMessageWithoutAnswerIsNotSwept(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	ask(t, nc, s)
	eventually(t, "the sweep has ended", func() bool { return !guard.Sweeping() })
	if guard.Armed(g) {
		t.Error("keep-alive is on for a connection that nobody waits for")
	}
}

// An idle connection costs nothing: no sweep, no keep-alive of ours.
func TestIdleCostsNothing(t *testing.T) {
	eventually(t, "the sweep of earlier tests has ended", func() bool { return !guard.Sweeping() })
	_, g, _ := pair(t, guard.Options{})
	time.Sleep(300 * time.Millisecond)
	if guard.Sweeping() || guard.Armed(g) {
		t.Error("an idle connection is swept")
	}
}

func keepAlive(t *testing.T, g *guard.Conn) (k [3]int) {
	t.Helper()
	err := must(g.Inner().(*net.TCPConn).SyscallConn()).Control(func(fd uintptr) {
		for i, name := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
			k[i] = must(unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The kernel's numbers, derived from HeartbeatTimeout: it gives up just before that, and not much earlier.
func TestTimesFollowHeartbeatTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration][3]int{
		guard.MinHeartbeatTimeout:     {1, 1, 1},
		guard.DefaultHeartbeatTimeout: {1, 1, 2},
		5 * time.Second:               {1, 1, 3},
		10 * time.Second:              {3, 3, 2},
		30 * time.Second:              {9, 9, 2},
	} {
		_, g, _ := pair(t, guard.Options{HeartbeatTimeout: timeout, ListenKeepAlive: true})
		k := keepAlive(t, g)
		if total := time.Duration(k[0]+k[1]*k[2]) * time.Second; k != want || total > timeout || total < timeout*3/5 {
			t.Errorf("HeartbeatTimeout %v: keep-alive %v, want %v", timeout, k, want)
		}
	}
}

// The same while a slow answer is waited for: whenever the outage of 1.5 s begins, the connection lives.
func TestShortOutageWhileWaitingIsNoDeath(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 10 {
		nc, g, s := pair(t, guard.Options{})
		wg.Go(func() {
			nc.Write([]byte("select"))
			io.ReadFull(s, make([]byte, 6))
			read := make(chan error, 1)
			go func() { read <- readByte(nc) }()
			time.Sleep(time.Duration(i) * 120 * time.Millisecond)
			if !possible(t, blackHole(s), filter) {
				nc.Close()
				<-read
				return
			}
			time.Sleep(1500 * time.Millisecond)
			heal(t, s)
			time.Sleep(2 * time.Second)
			io.WriteString(s, "x")
			if err := <-read; err != nil || g.Dead() {
				t.Errorf("outage that began %v after the last packet: %v", time.Duration(i)*120*time.Millisecond, err)
			}
		})
	}
	wg.Wait()
}

// Requests that go on being written into a black hole, each after a pause, do not make it look young: what is unacknowledged is as old as its oldest byte.
func TestBlackHoleEndsAConnectionThatIsWrittenToAgainAndAgain(t *testing.T) {
	t.Parallel()
	nc, _, s := pair(t, guard.Options{Multiplexed: true})
	ask(t, nc, s)
	time.Sleep(200 * time.Millisecond)
	ask(t, nc, s)
	time.Sleep(200 * time.Millisecond) // both are acknowledged, and neither is answered
	if !possible(t, blackHole(s), filter) {
		return
	}
	start := time.Now()
	for time.Since(start) < 3*guard.DefaultHeartbeatTimeout {
		if _, err := nc.Write([]byte("another")); err != nil {
			break
		}
		time.Sleep(120 * time.Millisecond)
	}
	if took := time.Since(start); took > guard.DefaultHeartbeatTimeout+120*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
}
