package herzconfig

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// rules looks for keys that have no effect where they stand, and for keys that cannot both be meant.
func (r *reader) rules(p *poolFile) {
	r.inMode(p)
	r.twins(p)
	r.numbers(p)
	r.times(p)
	r.roles(p)
	r.driver(p)
}

// says gives the entry of a key whose value is known.
func (p *poolFile) says(key string) (entry, bool) {
	e, ok := p.has[key]
	return e, ok && !e.unknown
}

// knows reports whether the values of all keys that stand in the file are known.
func (p *poolFile) knows(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return p.has[k].unknown })
}

func (r *reader) inMode(p *poolFile) {
	if !p.knows("mode") {
		return
	}
	for _, f := range poolFields {
		e, ok := p.has[f.key]
		if !ok || f.only == "" || f.only == p.keys.Mode {
			continue
		}
		r.fail(e.at, p.path+"."+f.key, "%s has no effect in mode %s: %s; remove it, or write mode: %s", f.key, p.keys.Mode, instead[f.key], f.only)
	}
}

func (r *reader) twins(p *poolFile) {
	for _, f := range poolFields {
		e, ok := p.has[f.key]
		other, both := p.has[twins[f.key]]
		if ok && both && (e.at.Line > other.at.Line || e.at.Line == other.at.Line && e.at.Column > other.at.Column) {
			r.fail(e.at, p.path+"."+f.key, "%s says again what %s says in line %d; remove one of them", f.key, twins[f.key], other.at.Line)
		}
	}
}

func (r *reader) numbers(p *poolFile) {
	k := &p.keys
	most, of := pool.DefaultMaxOpen, "its default of 10"
	if e, ok := p.says("maxOpen"); ok {
		most, of = k.MaxOpen, fmt.Sprintf("%d, in line %d", k.MaxOpen, e.at.Line)
		if e.from {
			of = fmt.Sprintf("the value in line %d", e.at.Line)
		}
	}
	for key, n := range map[string]int{"minIdle": k.MinIdle, "keepWarm": k.KeepWarm} {
		if e, ok := p.says(key); ok && n > most && p.knows("maxOpen") {
			r.fail(e.value, p.path+"."+key, "%s%s is greater than maxOpen (%s); lower it, or raise maxOpen", key, is(e, n), of)
		}
	}
	if e, ok := p.has["keepWarmElastic"]; ok && k.KeepWarm == 0 && p.knows("keepWarm") {
		r.fail(e.at, p.path+".keepWarmElastic", "keepWarmElastic has no effect without keepWarm; set keepWarm, or remove it")
	}
}

// is shows a value, unless the environment has a part in it.
func is(e entry, value any) string {
	if e.from {
		return ""
	}
	return fmt.Sprintf(" (%v)", value)
}

func (r *reader) times(p *poolFile) {
	k := &p.keys
	life := pool.DefaultMaxLifetime
	if _, ok := p.says("maxLifetime"); ok {
		life = k.MaxLifetime
	}
	if e, ok := p.says("maxLifetimeJitter"); ok && p.knows("maxLifetime") {
		switch {
		case life < 0:
			r.fail(e.at, p.path+".maxLifetimeJitter", "maxLifetimeJitter has no effect while maxLifetime is off; remove it")
		case k.MaxLifetimeJitter >= life:
			r.fail(e.value, p.path+".maxLifetimeJitter", "maxLifetimeJitter%s has to be less than maxLifetime; a tenth of it is usual",
				is(e, words(k.MaxLifetimeJitter)))
		}
	}
	if e, ok := p.has["pingAfter"]; ok && k.TestOnBorrow && p.knows("testOnBorrow") {
		r.fail(e.at, p.path+".pingAfter", "pingAfter has no effect beside testOnBorrow: every loan is pinged; remove one of them")
	}
	r.probe(p)
	for key, d := range p.pace() {
		const least = 100 * time.Millisecond
		if e, ok := p.says(key); ok && d > 0 && d < least {
			r.warn(e.value, p.path+"."+key, "%s%s is less than %v, which is no more than a slow round trip; is the unit right?", key, is(e, d), least)
		}
	}
}

func (r *reader) probe(p *poolFile) {
	k := &p.keys
	bound := max(k.heartbeatTimeout(), guard.MinHeartbeatTimeout)
	if e, ok := p.says("guard.probeAfter"); ok && k.Guard.ProbeAfter >= bound && p.knows("heartbeatTimeout", "heartbeatTimeoutMs") {
		r.fail(e.value, p.path+".guard.probeAfter", "probeAfter%s has to be less than heartbeatTimeout (%s); 20ms is usual",
			is(e, words(k.Guard.ProbeAfter)), words(bound))
	}
	if e, ok := p.says("guard.resolveEvery"); ok && k.Guard.ResolveEvery > 0 && k.Guard.ResolveEvery < guard.MinResolveEvery {
		r.fail(e.value, p.path+".guard.resolveEvery", "resolveEvery%s would flood the name server; write at least %v",
			is(e, k.Guard.ResolveEvery), guard.MinResolveEvery)
	}
}

// pace are the times that are easily written in the wrong unit.
func (p *poolFile) pace() map[string]time.Duration {
	k := &p.keys
	const ms = time.Millisecond
	return map[string]time.Duration{
		"timeBetweenEvictionRunsMillis": time.Duration(k.TimeBetweenEvictionRunsMillis) * ms, "heartbeatEvery": k.HeartbeatEvery,
		"heartbeatTimeoutMs": time.Duration(k.HeartbeatTimeoutMs) * ms, "heartbeatTimeout": k.HeartbeatTimeout,
		"maxIdleTime": k.MaxIdleTime, "maxLifetime": k.MaxLifetime, "acquireTimeout": k.AcquireTimeout,
	}
}

func (r *reader) roles(p *poolFile) {
	k := &p.keys
	if e, ok := p.has["requireReplica"]; ok && k.RequireReplica && k.RequireWritable {
		r.fail(e.at, p.path+".requireReplica", "requireReplica and requireWritable exclude each other: no server is both; remove one of them")
	}
	if e, ok := p.has["identity"]; ok && !k.Identity && p.knows("identity") && (k.RequireReplica || k.RequireWritable) {
		r.fail(e.at, p.path+".identity", "a role is required, and identity: false keeps servers from being asked for it; remove one of them")
	}
}

// adapters are the names of the drivers for which Herz has adapters.
var adapters = []string{"mysql", "pgx", "pgx/v5", "postgres"}

// products are what people call the drivers.
var products = map[string]string{
	"mariadb": "mysql", "postgresql": "pgx", "pg": "pgx", "psql": "pgx", "libpq": "postgres", "pq": "postgres", "pgxv5": "pgx/v5",
	"com.mysql.jdbc.driver": "mysql", "com.mysql.cj.jdbc.driver": "mysql", "org.postgresql.driver": "pgx", "org.mariadb.jdbc.driver": "mysql",
}

func (r *reader) driver(p *poolFile) {
	name, named := p.has["driver"]
	dsn, addressed := p.has["dsn"]
	switch {
	case named && !addressed && !r.failed(p.path+".dsn"):
		r.fail(name.at, p.path+".driver", "driver has no effect without dsn; add dsn, or remove it and make the connections in the program")
	case addressed && !named && !r.failed(p.path+".driver"):
		r.fail(dsn.at, p.path+".dsn", "dsn has no effect without driver; add driver: %s", strings.Join(adapters, " or "))
	}
	known := slices.Concat(adapters, sql.Drivers(), r.drivers)
	if !named || name.unknown || slices.Contains(known, p.keys.Driver) {
		return
	}
	near := products[strings.ToLower(p.keys.Driver)]
	if near == "" {
		near = guess(p.keys.Driver, known)
	}
	shown := ""
	if !name.from {
		shown = fmt.Sprintf(" %q", p.keys.Driver)
	}
	if near != "" {
		r.fail(name.value, p.path+".driver", "no driver is called%s; did you mean %s?", shown, near)
		return
	}
	r.warn(name.value, p.path+".driver", "the driver%s is none of Herz's adapters (%s); the program has to register it with herzsql",
		shown, strings.Join(adapters, ", "))
}

// failed reports whether there is a problem with a key already.
func (r *reader) failed(key string) bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Key == key })
}
