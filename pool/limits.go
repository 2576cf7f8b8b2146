package pool

import (
	"errors"
	"fmt"
	"time"
)

// Limits are the numbers that govern a pool. All of them may change while it runs ([Pool.SetLimits]). The zero value
// works: each field says its default. A negative duration or count, where it is allowed, turns the feature off.
type Limits struct {
	// MaxOpen is the greatest number of connections that are open or being dialled. 0: 10. Connections whose close has
	// begun do not count; see MaxClosing.
	MaxOpen int
	// MinIdle is the number of idle connections that is kept ready; missing ones are dialled at once. 0: none. It
	// may not be greater than MaxOpen.
	MinIdle int
	// KeepWarm is the number of idle connections that a quiet pool settles towards: above it idle ones are trimmed
	// over time, and those past MaxIdleTime are closed only while more than KeepWarmElastic × KeepWarm are idle. 0: MaxIdleTime
	// alone decides.
	KeepWarm int
	// KeepWarmElastic is the part of KeepWarm that is kept however long it is idle. 0: 0.8. Between 0 and 1.
	KeepWarmElastic float64
	// MaxWaiters is the greatest number of callers waiting in Acquire; one more gets an *ExhaustedError at once. 0:
	// 65,536.
	MaxWaiters int
	// MaxDialing is the greatest number of dials at the same time. 0: 4.
	MaxDialing int
	// MaxClosing is the greatest number of closes at the same time; further ones wait and hold their place. 0: 8.
	MaxClosing int
	// ReconnectPerSecond is how many connections a second are dialled anew in place of those that the pool itself ended for their lifetime,
	// their generation or their server's identity, while nobody waits for them: a fail-over must not meet every pool's whole MinIdle at
	// once. Callers who wait are dialled for at once, and so is what a loan takes from MinIdle, where MaxOpen leaves it a place beside those
	// replacements. 0: 20. Negative: without limit.
	ReconnectPerSecond int
	// MaxUses is how many times one connection is lent. 0: without limit.
	MaxUses int
	// MaxLifetime is the age past which a connection is not lent again. 0: 30 minutes. Negative: without limit.
	MaxLifetime time.Duration
	// MaxLifetimeJitter is the greatest time that is taken off MaxLifetime, drawn once for each connection, so that
	// connections made together do not end together. 0: a tenth of MaxLifetime. Negative: none.
	MaxLifetimeJitter time.Duration
	// MaxIdleTime is the idle time after which a connection is closed. 0: 10 minutes. Negative: without limit.
	MaxIdleTime time.Duration
	// HeartbeatEvery is the idle time after which a connection is taken out and pinged. 0: 30 seconds. Negative:
	// never. Without Config.Ping only the kernel is asked.
	HeartbeatEvery time.Duration
	// HeartbeatTimeout bounds a dial, ping, reset or close. 0: 3.2 seconds.
	HeartbeatTimeout time.Duration
	// PingAfter is the idle time after which a connection is pinged before it is lent. 0: 1 second. Negative:
	// never.
	PingAfter time.Duration
	// AcquireTimeout bounds Acquire when its context has no deadline. 0: 30 seconds. Negative: without limit.
	AcquireTimeout time.Duration
	// LeakAfter is the age of a lease past which it is reported, once, by a Leaked event with Held true. 0: never.
	LeakAfter time.Duration
	// TestOnBorrow pings each connection before it is lent, however short it was idle, and also when it goes from one user straight to the next.
	// One that was just dialled may be lent without, and so may a shared one that is in use.
	TestOnBorrow bool
}

// Defaults of Limits. The reason of each stands in docs/pool.md.
const (
	DefaultMaxOpen          = 10
	DefaultMaxWaiters       = 1 << 16
	DefaultMaxDialing       = 4
	DefaultMaxClosing       = 8
	DefaultReconnects       = 20
	DefaultKeepWarmElastic  = 0.8
	DefaultMaxLifetime      = 30 * time.Minute
	DefaultMaxIdleTime      = 10 * time.Minute
	DefaultHeartbeatEvery   = 30 * time.Second
	DefaultHeartbeatTimeout = 3200 * time.Millisecond
	DefaultPingAfter        = time.Second
	DefaultAcquireTimeout   = 30 * time.Second
)

// maxOpenLimit is the number of connections that one pool can hold.
const maxOpenLimit = 1 << 20

// withDefaults returns l with every zero replaced by its default, or the reason why l cannot work.
func (l Limits) withDefaults() (Limits, error) {
	l.MaxOpen = orInt(l.MaxOpen, DefaultMaxOpen)
	l.MaxWaiters = orInt(l.MaxWaiters, DefaultMaxWaiters)
	l.MaxDialing = orInt(l.MaxDialing, DefaultMaxDialing)
	l.MaxClosing = orInt(l.MaxClosing, DefaultMaxClosing)
	l.ReconnectPerSecond = orInt(l.ReconnectPerSecond, DefaultReconnects)
	l.MaxLifetime = orTime(l.MaxLifetime, DefaultMaxLifetime)
	l.MaxLifetimeJitter = orTime(l.MaxLifetimeJitter, max(l.MaxLifetime/10, 0))
	l.MaxIdleTime = orTime(l.MaxIdleTime, DefaultMaxIdleTime)
	l.HeartbeatEvery = orTime(l.HeartbeatEvery, DefaultHeartbeatEvery)
	l.HeartbeatTimeout = orTime(l.HeartbeatTimeout, DefaultHeartbeatTimeout)
	l.PingAfter = orTime(l.PingAfter, DefaultPingAfter)
	l.AcquireTimeout = orTime(l.AcquireTimeout, DefaultAcquireTimeout)
	if l.KeepWarmElastic == 0 {
		l.KeepWarmElastic = DefaultKeepWarmElastic
	}
	return l, l.check()
}

// Check says why l cannot work, naming the fields; nil when it can. [New] and [Pool.SetLimits] ask the same.
func (l Limits) Check() error {
	_, err := l.withDefaults()
	return err
}

func (l Limits) check() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(l.MaxOpen < 1 || l.MaxOpen > maxOpenLimit, "MaxOpen is %d; it must be 1 to %d", l.MaxOpen, maxOpenLimit)
	bad(l.MinIdle < 0 || l.MinIdle > l.MaxOpen, "MinIdle is %d; it must be 0 to MaxOpen (%d)", l.MinIdle, l.MaxOpen)
	bad(l.KeepWarm < 0 || l.KeepWarm > l.MaxOpen, "KeepWarm is %d; it must be 0 to MaxOpen (%d)", l.KeepWarm, l.MaxOpen)
	bad(!(l.KeepWarmElastic >= 0 && l.KeepWarmElastic <= 1), "KeepWarmElastic is %v; it must be 0 to 1", l.KeepWarmElastic)
	bad(l.MaxWaiters < 0, "MaxWaiters is %d; it must not be negative", l.MaxWaiters)
	bad(l.MaxDialing < 0, "MaxDialing is %d; it must not be negative", l.MaxDialing)
	bad(l.MaxClosing < 0, "MaxClosing is %d; it must not be negative", l.MaxClosing)
	bad(l.MaxUses < 0, "MaxUses is %d; it must not be negative", l.MaxUses)
	bad(l.HeartbeatTimeout < 0, "HeartbeatTimeout is %v; every wait needs a bound", l.HeartbeatTimeout)
	bad(l.LeakAfter < 0, "LeakAfter is %v; it must not be negative", l.LeakAfter)
	bad(l.MaxLifetime > 0 && l.MaxLifetimeJitter >= l.MaxLifetime, "MaxLifetimeJitter is %v; it must be less than MaxLifetime (%v)",
		l.MaxLifetimeJitter, l.MaxLifetime)
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("herz/pool: limits: %w", errors.Join(errs...))
}

func orInt(v, fallback int) int {
	if v == 0 {
		return fallback
	}
	return v
}

func orTime(v, fallback time.Duration) time.Duration {
	if v == 0 {
		return fallback
	}
	return v
}
