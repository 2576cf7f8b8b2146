package herzsql

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// Option changes how a database is opened.
type Option func(*settings)

type settings struct {
	name     string
	limits   pool.Limits
	maxIdle  int
	guard    guard.Options
	observer pool.Observer
	log      *slog.Logger

	need       need
	anonymous  bool
	validation string
	cuts       *cuts
}

// WithName names the database in events, errors and on the board. Empty or absent: the driver's name, and DefaultPool
// for a connector.
func WithName(name string) Option { return func(s *settings) { s.name = name } }

// WithLimits sets the limits. Fields that are zero keep their defaults, which are those of [pool.Limits]. In guarded mode
// database/sql does the pooling; there a limit that only Herz's own pool can keep is refused (docs/sql.md has the table).
// They may change while the database is open: [SetLimits].
func WithLimits(l pool.Limits) Option { return func(s *settings) { s.limits = l } }

// WithMaxIdle sets how many idle connections database/sql keeps, in guarded mode. 0 or absent: as many as
// Limits.MaxOpen (database/sql's own default of 2 closes and dials connections all day). Negative: none. Pooled mode refuses it.
func WithMaxIdle(n int) Option { return func(s *settings) { s.maxIdle = n } }

// WithGuard sets the options of the guard under each connection. Absent: [guard.SQL]. Its HeartbeatTimeout is replaced
// by Limits.HeartbeatTimeout when that is set, but is never less than [guard.MinHeartbeatTimeout], and EOFNeverClean is always set. It has no effect on
// [OpenConnector], whose caller owns the dial hook.
func WithGuard(o guard.Options) Option { return func(s *settings) { s.guard = o } }

// WithObserver is told of the events of the database: all kinds in pooled mode; in guarded mode those of the pool and its connections, heartbeats
// and LimitsChanged, but of no loan, because database/sql tells of none. It may be given more than once.
func WithObserver(o pool.Observer) Option {
	return func(s *settings) { s.observer = pool.Tee(s.observer, o) }
}

// WithLogger takes the warnings: one line for each connection that ended without our deciding it, at most ten a second, the rest
// counted. Absent or nil: slog.Default, as it is when the database is opened. slog.New(slog.DiscardHandler) turns them off.
func WithLogger(l *slog.Logger) Option { return func(s *settings) { s.log = l } }

func newSettings(name string, opts []Option) (*settings, error) {
	s := &settings{name: name, guard: guard.SQL}
	for _, o := range opts {
		o(s)
	}
	if s.name == "" {
		s.name = name
	}
	s.cuts = &cuts{pool: s.name}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.log.Handler() != slog.DiscardHandler {
		c := pool.NewLog(s.log)
		s.observer, s.cuts.log = pool.Tee(c, s.observer), c
	}
	if s.limits.HeartbeatTimeout < 0 {
		return nil, fmt.Errorf("herz/herzsql: HeartbeatTimeout is %v; every wait needs a bound", s.limits.HeartbeatTimeout)
	}
	s.guard.EOFNeverClean = true // no answer of a database ends by the end of its connection
	if s.limits.HeartbeatTimeout > 0 {
		s.guard.HeartbeatTimeout = max(s.limits.HeartbeatTimeout, guard.MinHeartbeatTimeout)
	}
	return s, nil
}

// guardedLimits are pool.Limits as guarded mode keeps them, with every default filled in. Fields of Herz's own pool
// are zero.
func guardedLimits(l pool.Limits) (pool.Limits, error) {
	var errs []error
	unable := func(set bool, name, why string) {
		if set {
			errs = append(errs, fmt.Errorf("%s has no effect in guarded mode, where %s; remove it or use OpenPooled", name, why))
		}
	}
	const own = "database/sql does the pooling"
	unable(l.MinIdle != 0, "MinIdle", own)
	unable(l.KeepWarm != 0, "KeepWarm", own)
	unable(l.KeepWarmElastic != 0, "KeepWarmElastic", own)
	unable(l.MaxWaiters != 0, "MaxWaiters", own)
	unable(l.MaxDialing != 0, "MaxDialing", own)
	unable(l.MaxClosing != 0, "MaxClosing", own)
	unable(l.ReconnectPerSecond != 0, "ReconnectPerSecond", own)
	unable(l.AcquireTimeout != 0, "AcquireTimeout", "only the caller's context ends a wait")
	unable(l.HeartbeatEvery > 0, "HeartbeatEvery", "an idle connection is pinged when it is borrowed")
	unable(l.LeakAfter != 0, "LeakAfter", own)
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(l.MaxOpen < 0, "MaxOpen is %d; it must not be negative", l.MaxOpen)
	wrong(l.MaxUses < 0, "MaxUses is %d; it must not be negative", l.MaxUses)
	wrong(l.HeartbeatTimeout < 0, "HeartbeatTimeout is %v; every wait needs a bound", l.HeartbeatTimeout)
	l.MaxOpen = or(l.MaxOpen, pool.DefaultMaxOpen)
	l.MaxLifetime = or(l.MaxLifetime, pool.DefaultMaxLifetime)
	l.MaxLifetimeJitter = or(l.MaxLifetimeJitter, max(l.MaxLifetime/10, 0))
	l.MaxIdleTime = or(l.MaxIdleTime, pool.DefaultMaxIdleTime)
	l.HeartbeatTimeout = or(l.HeartbeatTimeout, pool.DefaultHeartbeatTimeout)
	l.PingAfter = or(l.PingAfter, pool.DefaultPingAfter)
	wrong(l.MaxLifetime > 0 && l.MaxLifetimeJitter >= l.MaxLifetime, "MaxLifetimeJitter is %v; it must be less than MaxLifetime (%v)",
		l.MaxLifetimeJitter, l.MaxLifetime)
	if len(errs) > 0 {
		return l, fmt.Errorf("herz/herzsql: limits: %w", errors.Join(errs...))
	}
	return l, nil
}

func or[T int | time.Duration](v, fallback T) T {
	if v == 0 {
		return fallback
	}
	return v
}
