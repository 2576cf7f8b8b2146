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
	f.Fuzz(func(t *testing.T, moves []byte) {
		want := legalMoves(t)
		c := &conn.Cell{}
		state, leases, seq := conn.Dialing, 0, uint64(0)
		for _, b := range moves {
			to, n := conn.State(b&15), int(b>>4)
			legal := int(to) < len(conn.States()) && want[state.String()+"→"+to.String()] && (to == conn.InUse) == (n > 0)
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
