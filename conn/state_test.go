package conn_test

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
)

// moves is the machine as its authors wrote it down, in words; the package keeps it in bits.
const moves = `
dialing  → idle in_use stale closed
idle     → in_use checking stale
checking → idle in_use stale
in_use   → idle in_use checking stale
stale    → closing
closing  → closed
closed   →`

func legalMoves(t *testing.T) map[string]bool {
	t.Helper()
	want := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(moves)) {
		from, tos, ok := strings.Cut(line, "→")
		if !ok {
			t.Fatalf("no arrow in %q", line)
		}
		for _, to := range strings.Fields(tos) {
			want[strings.TrimSpace(from)+"→"+to] = true
		}
	}
	return want
}

// reach brings a fresh cell into a state by legal moves.
func reach(t *testing.T, to conn.State) *conn.Cell {
	t.Helper()
	paths := map[conn.State][]conn.State{
		conn.Dialing: {}, conn.Idle: {conn.Idle}, conn.Checking: {conn.Idle, conn.Checking}, conn.InUse: {conn.InUse},
		conn.Stale: {conn.Stale}, conn.Closing: {conn.Stale, conn.Closing}, conn.Closed: {conn.Closed},
	}
	c := &conn.Cell{}
	for _, s := range paths[to] {
		if _, ok := c.Move(c.Load(), s, leases(s)); !ok {
			t.Fatalf("could not reach %v", to)
		}
	}
	return c
}

func leases(s conn.State) int {
	if s == conn.InUse {
		return 1
	}
	return 0
}

func tryMove(c *conn.Cell, to conn.State, n int) (w conn.Word, moved, panicked bool) {
	defer func() {
		if recover() != nil {
			panicked = true
		}
	}()
	w, moved = c.Move(c.Load(), to, n)
	return w, moved, false
}

func TestOnlyTheMovesOfTheTableAreMade(t *testing.T) {
	want := legalMoves(t)
	for _, from := range conn.States() {
		for _, to := range conn.States() {
			legal := want[from.String()+"→"+to.String()]
			c := reach(t, from)
			before := c.Load()
			w, moved, panicked := tryMove(c, to, leases(to))
			switch {
			case from.Can(to) != legal:
				t.Errorf("%v.Can(%v) is %v", from, to, !legal)
			case legal && (!moved || w.State() != to || c.Load() != w):
				t.Errorf("the legal move %v → %v was not made", from, to)
			case !legal && (!panicked || c.Load() != before):
				t.Errorf("the illegal move %v → %v did not panic, or changed the word", from, to)
			}
		}
	}
}

func TestLeasesAndStateCannotContradictEachOther(t *testing.T) {
	for _, c := range []struct {
		to conn.State
		n  int
	}{{conn.InUse, 0}, {conn.Idle, 1}, {conn.Stale, 1}, {conn.InUse, -1}, {conn.InUse, conn.MaxLeases + 1}} {
		cell := &conn.Cell{}
		if _, _, panicked := tryMove(cell, c.to, c.n); !panicked || cell.Load() != 0 {
			t.Errorf("a connection %v with %d leases was allowed", c.to, c.n)
		}
	}
}

func TestEachLeaseHasANumberOfItsOwn(t *testing.T) {
	c := &conn.Cell{}
	step := func(to conn.State, n int, wantSeq uint64) {
		t.Helper()
		w, ok := c.Move(c.Load(), to, n)
		if !ok || w.Seq() != wantSeq || w.Leases() != n || w.State() != to {
			t.Fatalf("after the move to %v with %d leases: %v, %d leases, lease number %d, want %d", to, n, w.State(), w.Leases(), w.Seq(), wantSeq)
		}
	}
	step(conn.InUse, 1, 1)
	step(conn.InUse, 1, 2) // handed to the next waiter
	step(conn.InUse, 2, 3) // shared
	step(conn.InUse, 1, 3) // one of two returned: no new lease
	step(conn.Idle, 0, 3)
	step(conn.InUse, conn.MaxLeases, 4)
	step(conn.Stale, 0, 4)
}

func TestOfManyMoversExactlyOneWins(t *testing.T) {
	for range 200 {
		c := reach(t, conn.Idle)
		old := c.Load()
		var won atomic.Int32
		var wg sync.WaitGroup
		for _, to := range []conn.State{conn.InUse, conn.Checking, conn.Stale, conn.InUse} {
			wg.Go(func() {
				if _, ok := c.Move(old, to, leases(to)); ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 4 movers won", won.Load())
		}
	}
}

func TestOfferedConnectionIsOwnedByTheFirstWhoMovesIt(t *testing.T) {
	for range 200 {
		c := reach(t, conn.InUse)
		if !c.Offer(c.Load()) {
			t.Fatal("the owner could not offer it")
		}
		old := c.Load()
		if old.State() != conn.Idle || !old.Offered() || old.Leases() != 0 || old.Seq() != 1 {
			t.Fatalf("an offered connection is %v, offered %v, %d leases, lease %d", old.State(), old.Offered(), old.Leases(), old.Seq())
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if w, ok := c.Claim(old); ok {
					won.Add(1)
					if w.State() != conn.InUse || w.Leases() != 1 || w.Seq() != 2 || w.Offered() || c.Load() != w {
						t.Errorf("a claim made it %v with %d leases, lease %d, offered %v", w.State(), w.Leases(), w.Seq(), w.Offered())
					}
				}
			})
			wg.Go(func() {
				if w, ok := c.Withdraw(old); ok {
					won.Add(1)
					if w.State() != conn.Idle || w.Seq() != 1 || w.Offered() || c.Load() != w {
						t.Errorf("a withdrawal made it %v, lease %d, offered %v", w.State(), w.Seq(), w.Offered())
					}
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 4 won", won.Load())
		}
	}
}

func TestOnlyWhatIsOfferedIsClaimedAndOnlyOneLeaseIsOffered(t *testing.T) {
	for _, s := range conn.States() {
		c := reach(t, s)
		before := c.Load()
		if _, ok := c.Claim(before); ok {
			t.Errorf("%v was claimed without an offer", s)
		}
		if _, ok := c.Withdraw(before); ok {
			t.Errorf("%v was withdrawn without an offer", s)
		}
		offered, panicked := tryOffer(c, before)
		if fine := s == conn.InUse; offered != fine || panicked == fine {
			t.Errorf("%v: offered %v, panicked %v", s, offered, panicked)
		}
	}
	two := reach(t, conn.InUse)
	w, _ := two.Move(two.Load(), conn.InUse, 2)
	if _, panicked := tryOffer(two, w); !panicked || two.Load() != w {
		t.Error("a connection with two leases was offered")
	}
	c := reach(t, conn.InUse)
	old := c.Load()
	c.Offer(old)
	if c.Offer(old) {
		t.Error("the same lease was ended twice")
	}
	for _, to := range conn.States() {
		if _, moved, panicked := tryMove(c, to, leases(to)); moved || !panicked {
			t.Errorf("an offered connection was moved to %v by somebody who does not own it", to)
		}
	}
}

func tryOffer(c *conn.Cell, old conn.Word) (offered, panicked bool) {
	defer func() { panicked = recover() != nil }()
	return c.Offer(old), false
}

func TestMoveDoesNotAllocate(t *testing.T) {
	c := reach(t, conn.Idle)
	if n := testing.AllocsPerRun(1000, func() {
		w, _ := c.Move(c.Load(), conn.InUse, 1)
		c.Move(w, conn.Idle, 0)
	}); n != 0 {
		t.Errorf("a lease and its return make %v allocations", n)
	}
}

func TestEveryStateCauseAndDeliveryHasAName(t *testing.T) {
	seen := map[string]bool{}
	check := func(name string) {
		t.Helper()
		if name == "" || seen[name] || strings.ContainsAny(name, " ()") {
			t.Errorf("name %q is empty, used twice, or no name", name)
		}
		seen[name] = true
	}
	for _, s := range conn.States() {
		check(s.String())
	}
	for _, c := range conn.Causes() {
		check("cause." + c.String())
		if c.Sentence() == "" {
			t.Errorf("cause %v has no words", c)
		}
	}
	for _, d := range []conn.Delivery{conn.NothingSent, conn.MaybeSent, conn.Answered} {
		check(d.String())
	}
	if s := conn.State(200).String(); s != "state(200)" {
		t.Errorf("an unknown state is called %q", s)
	}
	if c := conn.Cause(200); c.String() != "cause(200)" || c.Sentence() == "" || c.Ours() {
		t.Errorf("an unknown cause is called %q", c)
	}
	if conn.State(200).Can(conn.Idle) || conn.Idle.Can(conn.State(9)) {
		t.Error("an unknown state may move")
	}
}

func TestOursAreTheDecisionsAndNotTheAccidents(t *testing.T) {
	const ours = "max_lifetime max_idle max_uses evicted generation identity drained shrunk"
	var got []string
	for _, c := range conn.Causes() {
		if c.Ours() {
			got = append(got, c.String())
		}
	}
	if strings.Join(got, " ") != ours {
		t.Errorf("our own decisions are %q, want %q", strings.Join(got, " "), ours)
	}
}

func TestDeathTellsThePersonOnCallWhatHappened(t *testing.T) {
	d := conn.Death{
		ID: 7, Pool: "orders", Peer: "10.0.0.3:5432", Cause: conn.PeerRST, Age: 90 * time.Second, Idle: 1500 * time.Millisecond, Phase: "processing",
		BytesSent: 42, Errno: syscall.ECONNRESET, Detail: "during COMMIT",
	}
	for _, part := range []string{"#7", `"orders"`, "10.0.0.3:5432", "reset it", "peer_rst", "age 1m30s", "idle 1.5s", "phase processing", "42 bytes", "connection reset by peer", "during COMMIT"} {
		if !strings.Contains(d.String(), part) {
			t.Errorf("%q is missing in %q", part, d)
		}
	}
	b, err := json.Marshal(map[string]any{"cause": d.Cause, "state": conn.InUse, "delivery": conn.MaybeSent})
	if err != nil || string(b) != `{"cause":"peer_rst","delivery":"maybe_sent","state":"in_use"}` {
		t.Errorf("in JSON: %s, %v", b, err)
	}
}
