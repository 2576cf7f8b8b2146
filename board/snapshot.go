package board

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// encoded is the snapshot as JSON, on one line, as server-sent events want it.
func (b *Board) encoded() ([]byte, error) { return json.Marshal(b.snapshot()) }

func (b *Board) snapshot() *snapshotJSON {
	now := time.Now()
	s := &snapshotJSON{
		Schema: schemaVersion, Now: now.UTC().Format(time.RFC3339Nano), UptimeSeconds: now.Sub(b.born).Seconds(),
		EverySeconds: b.cfg.Every.Seconds(), Process: process(), Control: b.control(), Sources: []sourceJSON{}, Audit: b.audit.newest(auditInSnapshot),
		Events: b.journal.newest(journalShown), Leaks: b.leaks.list(), WaitBounds: waitBounds(),
	}
	all := b.entries()
	learned := b.learned()
	for i, ref := range refs(all) {
		src := fromSource(all[i].src, b.cfg.MaxConns)
		src.ID, src.Ref = all[i].id, ref
		src.Learned = append(src.Learned, learned[src.Name]...)
		src.Timings = b.timings.of(src.Name)
		if _, err := all[i].controller(); err == nil {
			src.Controllable = true
		}
		if busy := all[i].busy.Load(); busy != nil {
			src.Busy = string(*busy)
		}
		s.Sources = append(s.Sources, src)
	}
	if g, some := guardedSockets(b.cfg.MaxConns); some {
		s.Sources = append(s.Sources, g)
	}
	return s
}

// learned are the lessons by the names of pools.
func (b *Board) learned() map[string][]lessonJSON {
	if b.cfg.Learner == nil {
		return nil
	}
	byPool := map[string][]lessonJSON{}
	for _, l := range b.cfg.Learner.Lessons() {
		byPool[l.Pool] = append(byPool[l.Pool], lessonJSON{
			Peer: l.Peer, CeilingSeconds: l.Ceiling.Seconds(), SpreadSeconds: l.Spread.Seconds(), Agree: l.Agree, Of: l.Of,
			Known: append([]string{}, l.Known...), AdvisedSeconds: l.Advised().Seconds(), LimitSeconds: l.Limit.Seconds(),
		})
	}
	return byPool
}

// process is what does not change. A host whose name cannot be asked is shown without one.
var process = sync.OnceValue(func() processJSON {
	host, _ := os.Hostname()
	return processJSON{Name: filepath.Base(os.Args[0]), PID: os.Getpid(), Host: host}
})

func fromSource(src Source, maxConns int) sourceJSON {
	limits := fromLimits(src.Limits())
	s := sourceJSON{
		Name: src.Name(), Kind: "pool", Stats: fromStats(src.Stats()), Limits: &limits,
		Conns: []connJSON{}, Deaths: []deathJSON{}, Unasked: []unaskedJSON{}, Learned: []lessonJSON{}, Timings: []timingJSON{},
	}
	infos := src.Snapshot()
	if len(infos) > maxConns {
		s.ConnsLeftOut = len(infos) - maxConns
		infos = infos[:maxConns]
	}
	s.Conns = slices.Grow(s.Conns, len(infos))
	for i := range infos {
		s.Conns = append(s.Conns, fromConn(&infos[i]))
	}
	for _, d := range src.Deaths() {
		s.Deaths = append(s.Deaths, fromDeath(d))
	}
	if teller, ok := src.(interface{ Unasked() []conn.Unasked }); ok {
		for _, u := range teller.Unasked() {
			s.Unasked = append(s.Unasked, unaskedJSON{
				Site: u.Site, Count: u.Count, Last: u.Last.UTC().Format(time.RFC3339Nano), Death: fromDeath(u.Death),
			})
		}
	}
	return s
}

func fromStats(s pool.Stats) statsJSON {
	closed := make(map[string]uint64, len(s.Closed))
	for cause, n := range s.Closed {
		closed[cause.String()] = n
	}
	counts := []uint64{}
	if s.WaitCounts != [len(s.WaitCounts)]uint64{} {
		counts = s.WaitCounts[:]
	}
	return statsJSON{
		Generation: s.Generation, Open: s.Open, Idle: s.Idle, Checking: s.Checking, InUse: s.InUse, Stale: s.Stale, Closing: s.Closing,
		Leases: s.Leases, Dialing: s.Dialing, Waiting: s.Waiting, OldestWaitSeconds: s.OldestWait.Seconds(),
		Acquires: s.Acquires, Waits: s.Waits, WaitTimeouts: s.WaitTimeouts, WaitCancels: s.WaitCancels, WaitRefused: s.WaitRefused,
		WaitSeconds: s.WaitTime.Seconds(), WaitCounts: counts, Dials: s.Dials, DialErrors: s.DialErrors, LastDialError: s.LastDialError,
		Heartbeats: s.Heartbeats, HeartbeatErrors: s.HeartbeatErrs, Misuses: s.Misuses, DeadLent: s.DeadLent, Closed: closed,
	}
}

func waitBounds() []float64 {
	var list []float64
	for _, d := range pool.WaitBounds() {
		list = append(list, d.Seconds())
	}
	return list
}

func fromLimits(l pool.Limits) limitsJSON {
	return limitsJSON{
		MaxOpen: l.MaxOpen, MinIdle: l.MinIdle, KeepWarm: l.KeepWarm, KeepWarmElastic: l.KeepWarmElastic, MaxWaiters: l.MaxWaiters,
		MaxDialing: l.MaxDialing, MaxClosing: l.MaxClosing, MaxUses: l.MaxUses, ReconnectPerSecond: l.ReconnectPerSecond,
		MaxLifetimeSeconds: l.MaxLifetime.Seconds(), MaxLifetimeJitterSeconds: l.MaxLifetimeJitter.Seconds(),
		MaxIdleSeconds: l.MaxIdleTime.Seconds(), HeartbeatEverySeconds: l.HeartbeatEvery.Seconds(),
		HeartbeatTimeoutSeconds: l.HeartbeatTimeout.Seconds(), PingAfterSeconds: l.PingAfter.Seconds(),
		AcquireTimeoutSeconds: l.AcquireTimeout.Seconds(), LeakAfterSeconds: l.LeakAfter.Seconds(), TestOnBorrow: l.TestOnBorrow,
	}
}

func fromConn(i *pool.ConnInfo) connJSON {
	return connJSON{
		ID: i.ID, State: i.State.String(), Peer: i.Peer, Identity: i.Identity, Generation: i.Generation,
		AgeSeconds: i.Age.Seconds(), IdleSeconds: i.Idle.Seconds(), HeldSeconds: i.Held.Seconds(), Uses: i.Uses, Leases: i.Leases,
		LastHeartbeatSeconds: i.LastHeartbeat.Seconds(), Cause: causeName(i.Cause), Holder: i.Holder,
	}
}

func fromDeath(d conn.Death) deathJSON {
	j := deathJSON{
		ID: d.ID, Peer: d.Peer, Cause: d.Cause.String(), Ours: d.Cause.Ours(), Words: d.Cause.Sentence(), Hint: d.Cause.Hint(),
		AgeSeconds: d.Age.Seconds(), IdleSeconds: d.Idle.Seconds(), Phase: d.Phase, BytesSent: d.BytesSent, Errno: int(d.Errno), Detail: d.Detail,
	}
	if d.Errno != 0 {
		j.ErrnoWords = d.Errno.Error()
	}
	return j
}

// causeName is empty for a connection that is well, so that a reader need not know the word for none.
func causeName(c conn.Cause) string {
	if c == conn.None {
		return ""
	}
	return c.String()
}
