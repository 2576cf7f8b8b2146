package herzconfig

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// Databases are the open databases of a file. Limits that change in the file change in them; see [Open].
type Databases struct {
	dbs   map[string]*sql.DB
	views map[string]*herzsql.View
	w     *Watcher
	quiet bool // Config.Static
	once  sync.Once
	err   error
}

// Open reads the file of the configuration and opens a database for each of its pools: herzsql.OpenPooled, or herzsql.Open in mode guarded. It does not
// dial, but for
// minIdle. Every error is told at once, in an [*InvalidError], and then nothing is open.
//
// From then on each new version of the file is read, checked against all pools, and put in force in all of them or in none. What can change is every
// limit, and testOnBorrow; a version that changes another key, adds a pool or removes one, needs a restart: it is reported, and nothing of it is put in force.
//
//	dbs, err := herzconfig.Open(herzconfig.Config{Path: "herz-config.yaml"})
//	if err != nil {
//		return err
//	}
//	defer dbs.Close()
//	orders, err := dbs.DB("orders")
func Open(c Config) (*Databases, error) {
	d := &Databases{dbs: map[string]*sql.DB{}, views: map[string]*herzsql.View{}, quiet: c.Static}
	w, err := newWatcher(c, func(before, after *Settings) error { return apply(d.views, before, after) })
	if err != nil {
		return nil, err
	}
	d.w = w
	var problems Problems
	for _, p := range w.Current().pools {
		db, at, err := w.c.open(p)
		if err != nil {
			problems = append(problems, Problem{
				File: w.c.Path, Position: at, Severity: Error, Key: p.from.path, Message: fmt.Sprintf("pool %s cannot be opened: %v", p.Name, err),
			})
			continue
		}
		d.dbs[p.Name], d.views[p.Name] = db, herzsql.Source(db)
	}
	if err = problems.Err(); err != nil {
		return nil, errors.Join(err, d.closeAll())
	}
	w.c.tellWebSocket(w.Current())
	if !d.quiet {
		w.start()
	}
	return d, nil
}

// open opens the database of one pool; where it cannot, the place is that of the key to change.
func (c Config) open(p Pool) (*sql.DB, Position, error) {
	opts := append(p.Options(), herzsql.WithLogger(c.Logger))
	if c.Options != nil {
		opts = append(opts, c.Options(p)...)
	}
	openName, openConnector := herzsql.OpenPooled, herzsql.OpenPooledConnector
	if p.Mode == Guarded {
		openName, openConnector = herzsql.Open, herzsql.OpenConnector
	}
	if e, ok := p.from.has["driver"]; ok {
		db, err := openName(p.Driver, string(p.DSN), opts...)
		return db, e.value, withoutSecrets(err, p)
	}
	if c.Connector == nil {
		return nil, p.from.at, errors.New("it has neither driver nor dsn; add both, or set Config.Connector in the program")
	}
	k, err := c.connector(p)
	if err != nil {
		return nil, p.from.at, err
	}
	db, err := openConnector(k, opts...)
	return db, p.from.at, err
}

func (c Config) connector(p Pool) (driver.Connector, error) {
	bound := p.Limits.HeartbeatTimeout
	if bound > 0 {
		p.Guard.HeartbeatTimeout = max(bound, guard.MinHeartbeatTimeout)
	}
	k, err := c.Connector(p)
	if err == nil && k == nil {
		err = errors.New("Config.Connector gave no connector for it")
	}
	return k, err
}

// DB gives the database of the pool; the empty name is DefaultPool's. It is an error when the file, as it was at Open, had no such pool.
func (d *Databases) DB(name string) (*sql.DB, error) {
	if name == "" {
		name = pool.DefaultPool
	}
	if db := d.dbs[name]; db != nil {
		return db, nil
	}
	known := d.Names()
	return nil, fmt.Errorf("herz/herzconfig: %s has no pool %q; it has %s%s", d.w.c.Path, name, strings.Join(known, ", "), meant(name, known))
}

// Names are the names of the pools, sorted.
func (d *Databases) Names() []string { return slices.Sorted(maps.Keys(d.dbs)) }

// Settings are the settings in force.
func (d *Databases) Settings() *Settings { return d.w.Current() }

// Reload reads the file now, as after SIGHUP; see [Watcher.Reload]. It works with Config.Static too.
func (d *Databases) Reload() Reload { return d.w.Reload() }

// closeMore is how much longer than HeartbeatTimeout a database may take to close.
const closeMore = time.Second

// Close ends the following of the file, and then closes all databases at the same time. It waits for each of them for its heartbeatTimeout and a
// second more; one that takes longer, because its driver hangs, goes on alone and is named in the error. Close may be called again, and gives the same error.
func (d *Databases) Close() error {
	d.once.Do(func() {
		if !d.quiet {
			d.err = d.w.Close()
		}
		d.err = errors.Join(d.err, d.closeAll())
	})
	return d.err
}

func (d *Databases) closeAll() error {
	bound := closeMore
	results := map[string]chan error{}
	for name, db := range d.dbs {
		bound = max(bound, d.views[name].Limits().HeartbeatTimeout+closeMore)
		done := make(chan error, 1)
		results[name] = done
		go func() { done <- db.Close() }()
	}
	t := time.NewTimer(bound)
	defer t.Stop()
	var errs []error
	late := false
	for _, name := range d.Names() {
		var err error
		if late {
			select {
			case err = <-results[name]:
			default:
				err = errSlow
			}
		} else {
			select {
			case err = <-results[name]:
			case <-t.C:
				late, err = true, errSlow
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("herz/herzconfig: close pool %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

var errSlow = errors.New("its driver has not closed its connections in time; they are closed without being waited for")
