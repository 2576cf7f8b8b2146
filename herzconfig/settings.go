package herzconfig

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// Mode says whose pool it is.
type Mode string

// The modes. Pooled is what a file means that names none: its keys are those of a pool.
const (
	Pooled  Mode = "pooled"  // as herzsql.OpenPooled
	Guarded Mode = "guarded" // as herzsql.Open
)

// Secret is text that is not shown when it is printed, logged or encoded. string(s) is the text itself.
type Secret string

const hidden = "[secret]"

// String hides the text, unless it is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText hides it from JSON and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides it from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Settings are a file that was read, as it was at that time. They never change.
type Settings struct {
	file  string
	pools []Pool
	web   *webFile
}

// Pool is what a file says about one pool.
type Pool struct {
	Name            string
	Driver          string // empty: the program makes the connector
	DSN             Secret // empty exactly when Driver is
	Mode            Mode
	Limits          pool.Limits
	ValidationQuery string // empty: the driver's own ping
	MaxIdle         int    // as herzsql.WithMaxIdle
	RequireWritable bool
	RequireReplica  bool
	Identity        bool // servers are asked who they are
	Guard           guard.Options

	from *poolFile
}

func settingsOf(file string, pools []*poolFile, web *webFile) *Settings {
	s := &Settings{file: file, web: web}
	for _, p := range pools {
		k := &p.keys
		one := Pool{
			Name: p.name, Driver: k.Driver, DSN: Secret(k.DSN), Mode: Mode(k.Mode), Limits: p.limits(), ValidationQuery: k.ValidationQuery,
			RequireWritable: k.RequireWritable, RequireReplica: k.RequireReplica, Identity: k.Identity, Guard: k.guard(), from: p,
		}
		if _, ok := p.has["maxIdle"]; ok {
			one.MaxIdle = k.MaxIdle
			if k.MaxIdle == 0 {
				one.MaxIdle = -1
			}
		}
		s.pools = append(s.pools, one)
	}
	return s
}

// String gives the file and the names of its pools: what is in them is for who asks for it.
func (s Settings) String() string {
	names := make([]string, len(s.pools))
	for i, p := range s.pools {
		names[i] = p.Name
	}
	return s.file + " (" + strings.Join(names, ", ") + ")"
}

// GoString is String, so that %#v shows no secret.
func (s Settings) GoString() string { return "herzconfig.Settings{" + s.String() + "}" }

// File is the name of the file.
func (s *Settings) File() string { return s.file }

// Pools are the pools in the order of the file, the one of the key pool first.
func (s *Settings) Pools() []Pool { return slices.Clone(s.pools) }

// Pool gives the pool of that name; the empty name is DefaultPool's.
func (s *Settings) Pool(name string) (Pool, bool) {
	if name == "" {
		name = pool.DefaultPool
	}
	for _, p := range s.pools {
		if p.Name == name {
			return p, true
		}
	}
	return Pool{}, false
}

// Options are what the file says as options of package herzsql, for those who open their databases themselves.
func (p Pool) Options() []herzsql.Option {
	opts := []herzsql.Option{
		herzsql.WithName(p.Name), herzsql.WithLimits(p.Limits), herzsql.WithGuard(p.Guard), herzsql.WithValidationQuery(p.ValidationQuery),
		herzsql.WithMaxIdle(p.MaxIdle),
	}
	switch {
	case p.RequireWritable:
		opts = append(opts, herzsql.RequireWritable())
	case p.RequireReplica:
		opts = append(opts, herzsql.RequireReplica())
	case !p.Identity:
		opts = append(opts, herzsql.WithoutIdentity())
	}
	return opts
}

// limits are the limits that the file asks for; what it does not say is zero.
func (p *poolFile) limits() pool.Limits {
	k := &p.keys
	return pool.Limits{
		MaxOpen: k.MaxOpen, MinIdle: k.MinIdle, KeepWarm: k.KeepWarm, KeepWarmElastic: k.KeepWarmElastic, MaxWaiters: k.MaxWaiters,
		MaxDialing: k.MaxDialing, MaxClosing: k.MaxClosing, ReconnectPerSecond: k.ReconnectPerSecond, MaxUses: k.MaxUses,
		MaxLifetime: k.MaxLifetime, MaxLifetimeJitter: k.MaxLifetimeJitter, MaxIdleTime: k.MaxIdleTime, HeartbeatEvery: p.heartbeatEvery(),
		HeartbeatTimeout: k.heartbeatTimeout(), PingAfter: k.PingAfter, AcquireTimeout: k.AcquireTimeout, LeakAfter: k.LeakAfter,
		TestOnBorrow: k.TestOnBorrow,
	}
}

// heartbeatEvery takes the article's key for the same: no runs, which pools of old write as 0 or -1, are no heartbeats.
func (p *poolFile) heartbeatEvery() time.Duration {
	e, ok := p.has["timeBetweenEvictionRunsMillis"]
	switch ms := p.keys.TimeBetweenEvictionRunsMillis; {
	case !ok || e.unknown:
		return p.keys.HeartbeatEvery
	case ms <= 0:
		return -1
	default:
		return time.Duration(ms) * time.Millisecond
	}
}

func (k *poolKeys) heartbeatTimeout() time.Duration {
	if k.HeartbeatTimeoutMs > 0 {
		return time.Duration(k.HeartbeatTimeoutMs) * time.Millisecond
	}
	return k.HeartbeatTimeout
}

// guard are the options of the guard under each connection; herzsql puts the bound of the limits into them.
func (k *poolKeys) guard() guard.Options {
	o := guard.SQL
	o.ProbeAfter, o.ListenKeepAlive, o.ResolveEvery = k.Guard.ProbeAfter, k.Guard.ListenKeepAlive, k.Guard.ResolveEvery
	return o
}
