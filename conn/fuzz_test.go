package conn_test

import (
	"testing"

	"herz.example/herz/conn"
)

// FuzzCell makes any sequence of moves on one connection and holds the cell against a plain record of state, leases and lease number.
func FuzzCell(f *testing.F) {
	f.Add([]byte{0x01, 0x13, 0x23, 0x13, 0x01, 0x02, 0x01, 0x04, 0x05, 0x06})
	f.Add([]byte{0x13, 0x04, 0x01, 0x05, 0x06, 0x06})
	f.Add([]byte{0xf3, 0xff, 0x07, 0x33, 0x23, 0x03, 0x01})
	f.Add([]byte{0x13, 0x0d, 0x0e, 0x0d, 0x0f, 0x02, 0x01, 0x13, 0x0d, 0x03, 0x0e, 0x04})
	f.Fuzz(func(t *testing.T, moves []byte) {
		want := legalMoves(t)
		c := &conn.Cell{}
		state, leases, seq := conn.Dialing, 0, uint64(0)
		offered := false
		for _, b := range moves {
			if op := b & 15; op >= 13 {
				hand(t, c, op, state == conn.InUse && leases == 1, offered)
				switch {
				case op == 13 && state == conn.InUse && leases == 1:
					state, leases, offered = conn.Idle, 0, true
				case op == 14 && offered:
					state, leases, offered, seq = conn.InUse, 1, false, seq+1
				case op == 15:
					offered = false
				}
				if w := c.Load(); w.State() != state || w.Leases() != leases || w.Seq() != seq || w.Offered() != offered {
					t.Fatalf("after operation %d the word says %v, %d leases, lease %d, offered %v", op, w.State(), w.Leases(), w.Seq(), w.Offered())
				}
				continue
			}
			to, n := conn.State(b&15), int(b>>4)
			legal := !offered && int(to) < len(conn.States()) && want[state.String()+"→"+to.String()] && (to == conn.InUse) == (n > 0)
			before := c.Load()
			w, moved, panicked := tryMove(c, to, n)
			if legal == panicked || legal != moved {
				t.Fatalf("from %v with %d leases to %v with %d: legal %v, moved %v, panicked %v", state, leases, to, n, legal, moved, panicked)
			}
			if !legal {
				if c.Load() != before {
					t.Fatalf("a refused move changed the word")
				}
				continue
			}
			if to == conn.InUse && n >= leases {
				seq++
			}
			state, leases = to, n
			if w != c.Load() || w.State() != state || w.Leases() != leases || w.Seq() != seq {
				t.Fatalf("the word says %v, %d leases, lease %d; it is %v, %d, %d", w.State(), w.Leases(), w.Seq(), state, leases, seq)
			}
		}
	})
}

// hand offers, claims or withdraws, and checks that this succeeds exactly when it may.
func hand(t *testing.T, c *conn.Cell, op byte, single, offered bool) {
	t.Helper()
	before := c.Load()
	var ok, panicked bool
	may := offered
	switch op {
	case 13:
		may = single
		ok, panicked = tryOffer(c, before)
		if panicked == may {
			t.Fatalf("an offer panicked: %v; it is legal: %v", panicked, may)
		}
	case 14:
		_, ok = c.Claim(before)
	case 15:
		_, ok = c.Withdraw(before)
	}
	if ok != may || !ok && c.Load() != before {
		t.Fatalf("operation %d on %v succeeded: %v; it may: %v", op, before.State(), ok, may)
	}
}
