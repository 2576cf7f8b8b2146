package herzsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// pingShare is the part of HeartbeatTimeout that a ping at borrow may take: 1 s of 3.2 s. The rest is for the dial that
// follows a ping which was not answered, so that both fit into one budget.
const pingShare = 5.0 / 16

// shortestVerdict is the shortest time-out of a ping that says something about the server. A caller in a greater hurry
// learns only that its own time was short.
const shortestVerdict = 250 * time.Millisecond

func pingBudget(l *pool.Limits) time.Duration {
	return time.Duration(float64(l.HeartbeatTimeout) * pingShare)
}

// dialBudget is HeartbeatTimeout, less what a ping has taken when one has just failed: the dial may belong to the same
// call. A thirty-second is left for the way back to the caller.
func (b *book) dialBudget(l *pool.Limits) time.Duration {
	budget := l.HeartbeatTimeout - l.HeartbeatTimeout/32
	if at := b.lastPingFailure.Load(); at > 0 && b.now()-at < int64(l.HeartbeatTimeout) {
		budget -= pingBudget(l)
	}
	return budget
}

// check decides whether a connection that was used before may be used again. It runs in the goroutine that asked for a
// connection, at the moment when database/sql resets the session; nothing of the caller has been sent yet.
func (b *book) check(ctx context.Context, e *entry, p Probe) error {
	now := b.moment(e, p.Checked)
	if err := b.vouch(ctx, e, p, now); err != nil {
		return err
	}
	e.since.Store(now)
	b.lend(e)
	return nil
}

// justNow is how long ago the last check of a connection may be for the clock to be left alone.
const justNow = 50 * time.Millisecond

// moment is the time, for a connection whose last check was so long ago as its driver says, 0 meaning that it does not. Between two system calls a
// reading of the clock is dear, and a driver that has one need not be asked for another: the sum is never behind the clock, so that no silence
// looks shorter than it is, and ahead of it by no more than justNow, because the newest byte has an exact time.
func (b *book) moment(e *entry, checked time.Duration) int64 {
	if checked <= 0 || checked > justNow {
		return b.now()
	}
	return max(e.since.Load(), e.heard.Load()) + int64(checked)
}

// vouch is check without its counts.
func (b *book) vouch(ctx context.Context, e *entry, p Probe, now int64) error {
	l := b.limits.Load()
	// A wrapped connection past MaxUses is refused when it is returned. Where it is found here, the limit was lowered meanwhile: it is lent once more,
	// because database/sql gives its caller an error when several in a row are refused.
	if cause := b.over(e, l, now); cause != conn.None && (cause != conn.MaxUses || b.bare) {
		return b.retire(e, cause, now)
	}
	idle := time.Duration(now - e.heard.Load())
	if e.g != nil {
		e.g.Begin()
		// So short a silence Alive would not ask the kernel about either, and it would read the clock once more to know.
		if idle >= guard.DefaultProbeAfter || e.g.Dead() {
			if err := e.g.Alive(); err != nil {
				return &refusal{reason: err, safe: true}
			}
		}
	}
	p = b.asker.probing(p)
	if p.some(e) && (l.TestOnBorrow || l.PingAfter > 0 && idle > l.PingAfter || b.doubtful(e)) {
		// After one connection to a server fell silent its siblings are not pinged one after the other, each for a
		// second of the caller's time: those not heard from since are dropped at once.
		if b.suspected(e) {
			return b.abort(e, errSilentPeer)
		}
		if err := b.ping(ctx, e, l, b.question(e, p)); err != nil {
			return b.abort(e, err)
		}
		if err := b.judge(e); err != nil {
			return err
		}
		if e.g != nil {
			e.g.Begin()
		}
	}
	return nil
}

// over says why the connection has had its time, or None.
func (b *book) over(e *entry, l *pool.Limits, now int64) conn.Cause {
	if cause := conn.Cause(e.cause.Load()); cause != conn.None { //nolint:gosec // stored from a Cause
		return cause
	}
	switch {
	case e.life > 0 && now-e.born > e.life:
		return conn.MaxLifetime
	case l.MaxUses > 0 && e.uses() >= uint64(l.MaxUses): //nolint:gosec // not negative, see guardedLimits
		return conn.MaxUses
	case e.g != nil:
		if cause, yes := e.g.Condemned(); yes {
			return cause
		}
	}
	return conn.None
}

// retire refuses a connection by our own decision; the driver will close it in good order.
func (b *book) retire(e *entry, cause conn.Cause, now int64) error {
	e.cause.Store(uint32(cause))
	if e.g != nil {
		e.g.Retire(cause)
	}
	return &refusal{safe: true, reason: &ended{conn.Death{
		ID: e.id, Pool: b.name, Peer: e.peer, Cause: cause, Age: time.Duration(now - e.born), Idle: time.Duration(now - e.heard.Load()),
	}}}
}

// abort refuses a connection whose server does not answer. It is cut at once: a goodbye would wait for nobody.
func (b *book) abort(e *entry, why error) error {
	e.cause.Store(uint32(conn.Heartbeat))
	if e.g != nil {
		e.g.Abort(conn.Heartbeat)
	}
	return &refusal{reason: fmt.Errorf("connection #%d to %s: %w", e.id, e.peer, why), safe: true}
}

// ping asks the server for a sign of life, within its share of the budget and within half of what the caller has left.
func (b *book) ping(ctx context.Context, e *entry, l *pool.Limits, ping func(context.Context) error) error {
	limit := pingBudget(l)
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	asked := b.now()
	e.asked.Store(max(asked+int64(limit), 1))
	silence, err := askWithin(ctx, limit, e.g, ping)
	e.asked.Store(0)
	answered := b.now()
	took := time.Duration(answered - asked)
	b.pings.Add(1)
	b.tell(pool.Event{Kind: pool.Heartbeat, Conn: e.id, Duration: took, Err: err})
	if err == nil {
		e.heard.Store(answered)
		e.pong.Store(int64(took))
		return nil
	}
	b.pingErrs.Add(1)
	if silence && limit >= shortestVerdict {
		b.suspect(e.peer, asked)
		b.lastPingFailure.Store(answered)
	}
	return fmt.Errorf("it did not answer a ping within %v: %w", took.Round(time.Millisecond), err)
}

// pingGrace is how much longer the context of a ping lives than its guarded socket, so that the record of the death says
// heartbeat and not that the driver closed the connection.
const pingGrace = 20 * time.Millisecond

// askWithin runs the ping, and reports whether it was ended by the limit. The end of the socket ends drivers too that do
// not look at their context.
func askWithin(ctx context.Context, limit time.Duration, g *guard.Conn, ping func(context.Context) error) (silence bool, err error) {
	if g == nil {
		pctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		err = ping(pctx)
		return pctx.Err() != nil && ctx.Err() == nil, err
	}
	pctx, cancel := context.WithTimeout(ctx, limit+pingGrace)
	defer cancel()
	stop := g.Expect(limit)
	err = ping(pctx)
	silence = !stop()
	if silence && err == nil {
		err = errTooLate // its socket is gone all the same
	}
	// On a loaded machine the driver can see its context end before the guard sees the limit.
	return silence || pctx.Err() != nil && ctx.Err() == nil, err
}

var errSilentPeer = errors.New("its server stopped answering on another connection")

var errTooLate = errors.New("the answer came when the connection had been given up")
