package herzhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// Drainer is a pool as its end sees it. [pool.Pool] and herzsql.View are. One that has also a method Snapshot, as they have, is asked what it has lent, and one
// with a method Close is closed when it could not drain in time.
type Drainer interface {
	Name() string
	// Drain lends no more, waits for the users, and closes. It returns at the end of ctx, with an error.
	Drain(ctx context.Context) error
}

// Lent is one connection that is lent.
type Lent struct {
	Conn   uint64
	Peer   string
	Held   time.Duration // of the present loan
	Leases int           // how many hold it; more than 1 only where it is shared
	Holder string        // the stack that borrowed it, where the pool sampled that; all are with pool.Limits.LeakAfter
	Traces []string      // of those who hold it, where [Borrowers] knows; sorted
}

// Drained tells how the drain of one pool went.
type Drained struct {
	Pool string
	Took time.Duration
	Lent []Lent // when the drain began
	Left []Lent // when it ended; nil unless Err is set
	Err  error  // of Drain
}

// linesPerPool bounds how many connections of one pool are logged.
const linesPerPool = 16

// lateDrain is how long Drains are waited for that do not mind the end of their context, and the Close that follows a Drain that does.
const lateDrain = 500 * time.Millisecond

// DrainPools drains pools side by side, each until ctx ends, and for 5 seconds where ctx has no deadline. It logs for each what was still lent as it began, and
// how long it took; and what is still lent when it could not drain. Who tells to whose requests those loans belong; nil: nobody does. log nil: slog.Default.
// It returns half a second after the end of ctx at the latest. The error names the pools that could not drain. A [Server] does it by itself.
func DrainPools(ctx context.Context, log *slog.Logger, who *Borrowers, pools ...Drainer) ([]Drained, error) {
	if log == nil {
		log = slog.Default()
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultPoolDrain)
		defer cancel()
	}
	began := time.Now()
	running := make([]chan Drained, len(pools))
	for i, p := range pools {
		running[i] = make(chan Drained, 1)
		go func() { running[i] <- drainOne(ctx, log, who, p) }()
	}
	late, end := lateAfter(ctx)
	defer end()
	all, errs := make([]Drained, len(pools)), make([]error, len(pools))
	for i, p := range pools {
		all[i] = await(late, running[i], p, began)
		errs[i] = all[i].Err
	}
	if err := errors.Join(errs...); err != nil {
		return all, fmt.Errorf("herz/herzhttp: drain pools: %w", err)
	}
	return all, nil
}

// lateAfter is a context that ends lateDrain after ctx.
func lateAfter(ctx context.Context) (late context.Context, end func()) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		wait := time.NewTimer(lateDrain)
		defer wait.Stop()
		select {
		case <-wait.C:
			cancel(ctx.Err())
		case <-late.Done():
		}
	})
	return late, func() {
		stop()
		cancel(nil)
	}
}

// await takes the outcome of a drain, or gives it up when late ends.
func await(late context.Context, done <-chan Drained, p Drainer, began time.Time) Drained {
	select {
	case d := <-done:
		return d
	case <-late.Done():
	}
	err := fmt.Errorf("pool %q: Drain did not return when its context ended: %w", p.Name(), context.Cause(late))
	return Drained{Pool: p.Name(), Took: time.Since(began), Err: err}
}

func drainOne(ctx context.Context, log *slog.Logger, who *Borrowers, p Drainer) Drained {
	d := Drained{Pool: p.Name(), Lent: lentOf(p, who)}
	report(log, slog.LevelInfo, "herz: still lent as its pool begins to drain", d.Pool, d.Lent)
	began := time.Now()
	d.Err = p.Drain(ctx)
	d.Took = time.Since(began)
	if d.Err == nil {
		log.Info("herz: pool drained", "pool", d.Pool, "took", d.Took.Round(time.Millisecond), "lent_before", len(d.Lent))
		return d
	}
	d.Left = lentOf(p, who)
	log.Warn("herz: pool did not drain in time", "pool", d.Pool, "took", d.Took.Round(time.Millisecond), "lent_before", len(d.Lent),
		"lent_after", len(d.Left), "error", d.Err)
	report(log, slog.LevelWarn, "herz: still lent, and cut when the process ends", d.Pool, d.Left)
	if c, ok := p.(interface{ Close() error }); ok {
		if err := c.Close(); err != nil {
			d.Err = errors.Join(d.Err, err)
		}
	}
	return d
}

// lentOf lists what a pool has lent, the longest held first as the pool lists it: by age.
func lentOf(p Drainer, who *Borrowers) []Lent {
	shown, ok := p.(interface{ Snapshot() []pool.ConnInfo })
	if !ok {
		return nil
	}
	var list []Lent
	for _, c := range shown.Snapshot() {
		if c.State != conn.InUse && c.Held == 0 { // a dead one in its user's hands is stale, and held
			continue
		}
		list = append(list, Lent{Conn: c.ID, Peer: c.Peer, Held: c.Held, Leases: max(c.Leases, 1), Holder: c.Holder, Traces: who.Of(p.Name(), c.ID)})
	}
	return list
}

func report(log *slog.Logger, level slog.Level, text, poolName string, list []Lent) {
	for _, l := range list[:min(len(list), linesPerPool)] {
		about := []any{"pool", poolName, "conn", l.Conn, "peer", l.Peer, "held", l.Held.Round(time.Millisecond), "leases", l.Leases}
		switch len(l.Traces) {
		case 0:
		case 1:
			about = append(about, "trace_id", l.Traces[0])
		default:
			about = append(about, "trace_ids", l.Traces)
		}
		if l.Holder != "" {
			about = append(about, "holder", l.Holder)
		}
		log.Log(context.Background(), level, text, about...)
	}
	if more := len(list) - linesPerPool; more > 0 {
		log.Log(context.Background(), level, "herz: more connections are lent than lines are written", "pool", poolName, "more", more)
	}
}
