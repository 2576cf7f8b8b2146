package guard_test

import (
	"net"
	"runtime"
	"sync"
	"testing"

	"herz.example/herz/guard"
)

// located is one end of a pipe that has the addresses it is given.
type located struct {
	net.Conn
	local, remote net.Addr
}

func (l located) LocalAddr() net.Addr  { return l.local }
func (l located) RemoteAddr() net.Addr { return l.remote }

// at guards a connection between two addresses, as it is when a port comes back.
func at(t testing.TB, local, remote string) *guard.Conn {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { b.Close() })
	l, r := must(net.ResolveTCPAddr("tcp", local)), must(net.ResolveTCPAddr("tcp", remote))
	return guard.Wrap(located{a, l, r}, guard.Options{})
}

const (
	here  = "192.0.2.1:40000"
	there = "192.0.2.2:5432"
)

// The old connection's end, however late, leaves the entry of the one that has its address now.
func TestAddressThatCameBackBelongsToTheNewConnection(t *testing.T) {
	older := at(t, here, there)
	if guard.Find(here, there) != older {
		t.Error("the first connection is not found")
	}
	newer := at(t, here, there)
	defer newer.Close()
	if guard.Find(here, there) != nil {
		t.Error("one of two with the same addresses was chosen")
	}
	older.Close()
	older.Close()
	if guard.Find(here, there) != newer {
		t.Error("the late end of the old connection took the new one's entry along")
	}
	newer.Close()
	if guard.Find(here, there) != nil {
		t.Error("a closed connection is found")
	}
}

// The same when the collector is the one who notices that the old connection is gone.
func TestForgottenConnectionLeavesItsSuccessorAlone(t *testing.T) {
	id := func() uint64 { return at(t, here, there).ID() }()
	newer := at(t, here, there)
	defer newer.Close()
	eventually(t, "the forgotten connection is collected", func() bool {
		runtime.GC()
		for _, g := range guard.Live() {
			if g.ID() == id {
				return false
			}
		}
		return true
	})
	eventually(t, "the successor is the one at its address", func() bool { return guard.Find(here, there) == newer })
}

// Whoever finds a connection may end it, also while Wrap is still at work; nothing of it stays in the registry then.
func TestConnectionsThatComeAndGoAtOneAddressLeaveNothing(t *testing.T) {
	stays := at(t, here, there)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 200 {
				g := at(t, here, there)
				g.Close()
			}
		})
	}
	over := make(chan struct{})
	var ender sync.WaitGroup
	ender.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			for _, g := range guard.Live() {
				if g != stays {
					g.Close()
				}
			}
			if g := guard.Find(here, there); g != nil && g != stays {
				t.Error("a connection is found as the only one, and another one is open")
				return
			}
		}
	})
	work.Wait()
	close(over)
	ender.Wait()
	if guard.Find(here, there) != stays {
		t.Error("the one that is open is not found")
	}
	stays.Close()
	if n := guard.Places(); n != 0 {
		t.Errorf("%d addresses are remembered, and nobody is there", n)
	}
}
