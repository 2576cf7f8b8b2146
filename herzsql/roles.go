package herzsql

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// standing is what a guarded database knows of the servers at its addresses, beside what each connection was told.
type standing struct {
	doubted atomic.Int64 // the newest doubt about any address, so that who is borrowed without one asks nobody

	// mu guards what follows. Nothing is called while it is held.
	mu    sync.Mutex
	peers map[string]*repute
}

// repute is what is known of one address.
type repute struct {
	doubt   int64               // what was confirmed before this has to be confirmed again
	wrong   int64               // when a write was last refused there
	left    int64               // when its connections were last given up for that
	rounds  int                 // how often that happened in a row
	servers map[string]struct{} // everyone who answered there
}

// peersKept and serversKept bound what is remembered; what is forgotten is asked for again.
const peersKept, serversKept = 64, 64

func (s *standing) ofLocked(peer string) *repute {
	if s.peers == nil || len(s.peers) > peersKept {
		s.peers = map[string]*repute{}
	}
	r := s.peers[peer]
	if r == nil {
		r = &repute{servers: map[string]struct{}{}}
		s.peers[peer] = r
	}
	return r
}

// arrived notes who answered a dial. Where an address answers with a new name, the others there are asked at their next loan; behind a balancer they
// answer as before, and nothing happens to them.
func (s *standing) arrived(peer string, who Server, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ofLocked(peer)
	if len(r.servers) > serversKept {
		clear(r.servers)
	}
	name := who.String()
	if _, known := r.servers[name]; !known && len(r.servers) > 0 {
		r.doubt = now
		s.doubted.Store(now)
	}
	r.servers[name] = struct{}{}
}

// refused notes that a server refused a write because of its role. It is news, unless the servers there have just been doubted.
func (s *standing) refused(peer string, now int64) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ofLocked(peer)
	r.wrong = now
	if r.doubt != 0 && now-r.doubt < int64(roleQuestionAfter) {
		return false
	}
	r.doubt = now
	s.doubted.Store(now)
	return true
}

// doubts reports whether what was confirmed at that time has to be confirmed again.
func (s *standing) doubts(peer string, confirmed int64) bool {
	if confirmed >= s.doubted.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.peers[peer]
	return r != nil && confirmed < r.doubt
}

const (
	quickRounds = 10               // as often the connections of an address are given up once a second because it refuses writes,
	slowRound   = 10 * time.Second // and then at this pace,
	forgiven    = time.Minute      // until it has not happened for so long
)

// leave decides, for a server found to be read-only, whether its connections are given up because a write was refused there. It is so for who was
// read-only from the start as well: the application does not expect it, and a new dial may lead elsewhere.
func (s *standing) leave(peer string, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.ofLocked(peer)
	if r.wrong == 0 || r.wrong <= r.left {
		return false
	}
	pace := roleQuestionAfter
	switch since := time.Duration(now - r.left); {
	case r.left == 0 || since >= forgiven:
		r.rounds = 0
	case r.rounds >= quickRounds:
		pace = slowRound
	}
	if r.left != 0 && time.Duration(now-r.left) < pace {
		return false
	}
	r.left = now
	r.rounds++
	return true
}

// doubtful reports whether a connection has to say again who answers on it.
func (b *book) doubtful(e *entry) bool {
	return e.server.Load() != nil && b.standing.doubts(e.peer, e.confirmed.Load())
}

// some reports whether there is anything that the connection can be asked.
func (p Probe) some(e *entry) bool { return p.Ping != nil || p.Conn != nil && e.server.Load() != nil }

// question gives what a connection is asked at its loan: who its server is, where it has told before, else for a sign of life.
func (b *book) question(e *entry, p Probe) func(context.Context) error {
	was := e.server.Load()
	if was == nil || p.Conn == nil {
		return p.Ping
	}
	return func(ctx context.Context) error {
		if b.asker.query != "" {
			if err := p.Ping(ctx); err != nil {
				return err
			}
		}
		s, err := b.asker.meet(ctx, p.Conn, *was)
		if err == nil {
			e.met.Store(s)
		}
		return err
	}
}

// judge takes the answer to a question of a connection that is being borrowed. An error means that the connection has to go.
func (b *book) judge(e *entry) error {
	now, was := b.now(), e.server.Load()
	s := e.met.Swap(nil)
	e.confirmed.Store(now)
	switch {
	case was == nil:
		return nil
	case s == nil: // it does not tell any more, or another one each time
		e.server.Store(nil)
		return nil
	case *s != *was:
		e.server.Store(s)
		change := &pool.IdentityError{Pool: b.name, Peer: e.peer, Before: was.String(), After: s.String()}
		b.forsake(e, change)
		return b.retire(e, conn.Identity, now)
	case s.ReadOnly && b.asker.need != replica && b.standing.leave(e.peer, now):
		b.forsake(e, &RoleError{Pool: b.name, Peer: e.peer, Server: *s, Need: writable.String()})
		return b.retire(e, conn.Identity, now)
	default:
		return nil
	}
}

// forsake gives up all connections that are open to the address of e: they are not lent again. Of several that notice the same change one does.
func (b *book) forsake(e *entry, why error) {
	if !b.doom(e) {
		return
	}
	b.tell(pool.Event{Kind: pool.PoolCleared, Cause: conn.Identity, Err: why})
}

// doom marks e and all that have its address, unless e is marked already.
func (b *book) doom(e *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !e.cause.CompareAndSwap(0, uint32(conn.Identity)) {
		return false
	}
	for _, other := range b.entries {
		if other.peer == e.peer && e.peer != "" {
			other.cause.CompareAndSwap(0, uint32(conn.Identity))
		}
	}
	return true
}

// identity gives the pool's question who the server of a connection is; nil when servers are not asked.
func (c *pooled) identity() func(context.Context, *phys) (string, error) {
	if c.asker.ask == nil {
		return nil
	}
	return func(ctx context.Context, p *phys) (string, error) {
		if p.met || p.server == nil {
			p.met = false
			return p.who, nil
		}
		return p.who, p.meet(ctx, c.asker)
	}
}

// meet asks who the server is.
func (p *phys) meet(ctx context.Context, a asker) error {
	s, err := a.meet(ctx, p.inner, *p.server)
	if err != nil {
		return err
	}
	if p.server = s; s != nil {
		p.who = s.String()
	}
	return nil
}

// judge decides, when a connection comes back whose server refused a write, whether all connections are given up: it is asked for its role, by the
// caller and within a quarter of a second. A transaction that was begun as read-only changes nothing.
func (c *pooled) judge(l *leaseConn) {
	p, now, peer := l.phys, int64(time.Since(c.start)), ""
	if l.g != nil {
		peer = peerOf(l.g)
	}
	if p.server == nil || l.bad || !c.standing.refused(peer, now) {
		return
	}
	was := *p.server
	_, err := askWithin(context.Background(), shortestVerdict, l.g, func(ctx context.Context) error { return p.meet(ctx, c.asker) })
	switch {
	case err != nil:
		l.condemn(err)
	case p.server == nil:
	case *p.server != was:
		c.pool.Invalidate(&pool.IdentityError{Pool: c.asker.pool, Peer: peer, Before: was.String(), After: p.who})
	case p.server.ReadOnly && c.asker.need != replica && c.standing.leave(peer, now):
		c.pool.Invalidate(&RoleError{Pool: c.asker.pool, Peer: peer, Server: was, Need: writable.String()})
	}
}
