package herzws_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/herzws"
)

// tally is what came of the messages of one sender: their numbers, each once.
type tally struct {
	mu  sync.Mutex // guards got
	got map[string]int
}

func (l *tally) add(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.got == nil {
		l.got = map[string]int{}
	}
	l.got[string(b)]++
}

// missing compares with what was accepted.
func (l *tally) missing(accepted []string) (lost, twice []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range accepted {
		switch n := l.got[m]; {
		case n == 0:
			lost = append(lost, m)
		case n > 1:
			twice = append(twice, m)
		}
	}
	return lost, twice
}

// sender sends numbered messages until stop, a hundred a second, and keeps those that Send accepted.
func sender(stop context.Context, name string, send func(context.Context, herzws.Kind, []byte) error) (accepted []string) {
	for i := 0; stop.Err() == nil; i++ {
		m := name + " " + strconv.Itoa(i)
		if send(stop, herzws.Text, []byte(m)) == nil {
			accepted = append(accepted, m)
		}
		_ = pause(stop, 10*time.Millisecond)
	}
	return accepted
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The switch is flipped twice while messages go both ways: whatever Send accepted on either side arrives once, and every client is back within five seconds, in the mode that the
// switch asks for.
func TestFlipUnderLoadLosesNoMessageAndAllClientsAreBack(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		const clients = 40
		var up, down tally
		var pushed sync.Mutex // guards sentDown
		var sentDown []string
		var connection atomic.Int64
		load, calm := context.WithCancel(soon(t))
		defer calm()
		var pushers sync.WaitGroup
		s, addr := serve(t, herzws.Config{
			Engine: e, Logger: quiet(), Slow: herzws.SlowWait, Spread: 500 * time.Millisecond, Heartbeat: herzws.Heartbeat{Interval: 500 * time.Millisecond},
			OnMessage: func(_ *herzws.Conn, _ herzws.Kind, b []byte) { up.add(b) },
			OnOpen: func(c *herzws.Conn) {
				name := fmt.Sprintf("down %s %d", c.Device(), connection.Add(1))
				pushers.Go(func() { // the server's side of the load, as long as the connection takes it
					over, stop := context.WithCancel(load)
					defer stop()
					accepted := sender(over, name, func(ctx context.Context, k herzws.Kind, b []byte) error {
						err := c.Send(ctx, k, b)
						if err != nil {
							stop()
						}
						return err
					})
					pushed.Lock()
					defer pushed.Unlock()
					sentDown = append(sentDown, accepted...)
				})
			},
		})
		var all [clients]*herzws.Client
		var legacyAt [clients]atomic.Int64
		for i := range all {
			c, err := herzws.Dial(soon(t), herzws.ClientConfig{
				URL: "ws://" + addr + "/ws", Device: "meter-" + strconv.Itoa(i), Logger: quiet(), Slow: herzws.SlowWait, Backoff: 100 * time.Millisecond,
				OnMessage: func(_ herzws.Kind, b []byte) { down.add(b) },
				OnState: func(m herzws.Mode, _ error) {
					if m == herzws.Legacy {
						legacyAt[i].CompareAndSwap(0, time.Now().UnixNano())
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			all[i] = c
		}
		inMode := func(m herzws.Mode) func() bool {
			return func() bool {
				for _, c := range all {
					if c.Mode() != m {
						return false
					}
				}
				return true
			}
		}
		eventually(t, "every client as a WebSocket", inMode(herzws.V2))
		var senders sync.WaitGroup
		sentUp := make([][]string, clients)
		for i, c := range all {
			senders.Go(func() { sentUp[i] = sender(load, "up "+strconv.Itoa(i), c.Send) })
		}
		eventually(t, "load", func() bool { return s.Stats().Received > 1000 && s.Stats().Sent > 1000 })

		flip := func(on bool, m herzws.Mode) {
			began := time.Now()
			s.Switch().SetEnableLegacyKeepAlive(on)
			eventually(t, "every client in mode "+m.String(), inMode(m))
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("all were back in mode %v after %v", m, took)
			}
			if m == herzws.Legacy {
				first := time.Hour
				for i := range legacyAt {
					first = min(first, time.Unix(0, legacyAt[i].Load()).Sub(began))
				}
				if first > time.Second {
					t.Errorf("the first legacy answer came after %v", first)
				}
			}
		}
		flip(true, herzws.Legacy)
		if st := s.Stats(); st.Legacy != clients || st.Drained != clients {
			t.Errorf("in legacy mode: %+v", st)
		}
		devices := 0
		for d := range s.Devices() {
			devices++
			if d.Mode != herzws.Legacy || !strings.HasPrefix(d.Name, "meter-") {
				t.Errorf("%+v", d)
			}
		}
		if devices != clients {
			t.Errorf("%d devices", devices)
		}
		flip(false, herzws.V2)
		before := s.Stats().Received
		eventually(t, "load again", func() bool { return s.Stats().Received > before+1000 })
		calm()
		senders.Wait()
		for _, c := range all { // a closing that is answered proves that all before it has arrived
			if err := c.Close(soon(t)); err != nil {
				t.Error(err)
			}
		}
		pushers.Wait()
		eventually(t, "the end of all connections", func() bool { return s.Stats().Conns == 0 })
		if lost, twice := down.missing(sentDown); len(lost)+len(twice) > 0 {
			t.Errorf("of %d messages of the server, %d are lost and %d came twice: %.3q", len(sentDown), len(lost), len(twice), lost)
		}
		total := 0
		for i := range sentUp {
			total += len(sentUp[i])
			if lost, twice := up.missing(sentUp[i]); len(lost)+len(twice) > 0 {
				t.Errorf("of %d messages of client %d, %d are lost and %d came twice: %.3q", len(sentUp[i]), i, len(lost), len(twice), lost)
			}
		}
		t.Logf("%d messages up, %d down", total, len(sentDown))
	})
}

func TestFlipCutsNoPeerThatGoesOnTakingWhatWaitsForIt(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		const messages, size = 320, 64 << 10 // more than the kernel takes at once
		sw := new(herzws.Switch)
		cfg := herzws.Config{Engine: e, Logger: quiet(), Switch: sw, Spread: -1, CloseTimeout: 500 * time.Millisecond, QueueBytes: 2 * messages * size}
		s, addr := serve(t, cfg)
		p := open(t, addr)
		eventually(t, "it is open", func() bool { return s.Stats().Conns == 1 })
		payload := []byte(strings.Repeat("x", size))
		for range messages {
			if err := s.Conns()[0].Send(t.Context(), herzws.Binary, payload); err != nil {
				t.Fatal(err)
			}
		}
		sw.SetEnableLegacyKeepAlive(true)
		came := 0
		for ; ; came++ {
			if came%16 == 15 {
				_ = pause(t.Context(), 50*time.Millisecond) // a second in all
			}
			if said := p.next(); said != "binary "+string(payload) {
				if said != "close 1012" {
					t.Errorf("%.20q came in place of a message", said)
				}
				break
			}
		}
		if came != messages {
			t.Errorf("of %d messages that were accepted %d came", messages, came)
		}
	})
}
