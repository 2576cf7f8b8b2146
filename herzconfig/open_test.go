package herzconfig_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/herzconfig"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// ear collects the changes of limits that pools report.
type ear struct {
	mu  sync.Mutex // guards all
	all []pool.Event
}

func (e *ear) Observe(ev pool.Event) {
	if ev.Kind != pool.LimitsChanged {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *ear) heard() []pool.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]pool.Event(nil), e.all...)
}

// pair is a file with one pool of each mode.
func pair(dsn string, orders, reports string) string {
	return fmt.Sprintf("pools:\n  orders: {driver: memory, dsn: '%s', %s}\n  reports: {driver: memory, dsn: '%s', mode: guarded, %s}\n", dsn, orders, dsn, reports)
}

func limits(t *testing.T, dbs *herzconfig.Databases, name string) pool.Limits {
	t.Helper()
	db, err := dbs.DB(name)
	if err != nil {
		t.Fatal(err)
	}
	return herzsql.Source(db).Limits()
}

func TestChangedLimitsAreInForceInEveryOpenPool(t *testing.T) {
	_, dsn := newBackend(t)
	path := write(t, "")
	f, e := new(follower), new(ear)
	dbs := openAll(t, pair(dsn, "maxOpen: 5", "maxOpen: 3"), herzconfig.Config{
		Path: path, Logger: logger(new(journal)), OnReload: f.on, Settle: 10 * time.Millisecond,
		Options: func(herzconfig.Pool) []herzsql.Option { return []herzsql.Option{herzsql.WithObserver(e)} },
	})
	put(t, path, pair(dsn, "maxOpen: 6, heartbeatEvery: 10s", "maxOpen: 3, pingAfter: 5s"))
	eventually(t, "both have the new limits", func() bool {
		return limits(t, dbs, "orders").MaxOpen == 6 && limits(t, dbs, "orders").HeartbeatEvery == 10*time.Second && limits(t, dbs, "reports").PingAfter == 5*time.Second
	})
	eventually(t, "the event", func() bool { return len(f.events()) == 1 })
	told := e.heard()
	if len(told) != 2 {
		t.Fatalf("%d pools told of a change: %+v", len(told), told)
	}
	for _, ev := range told {
		if ev.Pool == "orders" && (ev.Limits.Before.MaxOpen != 5 || ev.Limits.After.MaxOpen != 6) {
			t.Errorf("orders told %+v", ev.Limits)
		}
		if ev.Pool == "reports" && (ev.Limits.Before.PingAfter != pool.DefaultPingAfter || ev.Limits.After.PingAfter != 5*time.Second) {
			t.Errorf("reports told %+v", ev.Limits)
		}
	}
	put(t, path, pair(dsn, "maxOpen: 6, heartbeatEvery: 10s", "maxOpen: 4, pingAfter: 5s"))
	eventually(t, "the second change", func() bool { return limits(t, dbs, "reports").MaxOpen == 4 && len(f.events()) == 2 })
	if n := len(e.heard()); n != 3 {
		t.Errorf("a pool whose keys did not change was set anew: %d changes", n)
	}
}

func TestChangeThatNeedsARestartPutsNothingInForce(t *testing.T) {
	_, dsn := newBackend(t)
	path := write(t, "")
	f, log := new(follower), new(journal)
	dbs := openAll(t, pair(dsn, "maxOpen: 5", "maxOpen: 3"), herzconfig.Config{
		Path: path, Logger: logger(log), OnReload: f.on, Settle: 10 * time.Millisecond,
	})
	for what, text := range map[string]string{
		"dsn":             strings.Replace(pair(dsn, "maxOpen: 6", "maxOpen: 3"), dsn, dsn+"?password="+secret, 1),
		"mode":            strings.Replace(pair(dsn, "maxOpen: 6", "maxOpen: 3"), "mode: guarded", "mode: pooled", 1),
		"validationQuery": pair(dsn, "maxOpen: 6, validationQuery: SELECT 2", "maxOpen: 3"),
		"probeAfter":      pair(dsn, "maxOpen: 6, guard: {probeAfter: 5ms}", "maxOpen: 3"),
		"identity":        pair(dsn, "maxOpen: 6, identity: false", "maxOpen: 3"),
		"invoices":        pair(dsn, "maxOpen: 6", "maxOpen: 3") + "  invoices: {maxOpen: 5}\n",
		"removed":         strings.SplitAfter(pair(dsn, "maxOpen: 6", "maxOpen: 3"), "}\n")[0],
	} {
		t.Run(what, func(t *testing.T) {
			before, seen := dbs.Settings(), len(f.events())
			put(t, path, text)
			eventually(t, "the event", func() bool { return len(f.events()) == seen+1 })
			e := f.events()[seen]
			var restart *herzconfig.RestartError
			if e.Outcome != herzconfig.NeedsRestart || !errors.As(e.Err, &restart) || !strings.Contains(e.Err.Error(), what) || len(restart.Changes) != 1 {
				t.Errorf("the event is %+v", e)
			}
			if strings.Contains(e.Err.Error(), secret) || strings.Contains(fmt.Sprintf("%+v", e), secret) {
				t.Errorf("a secret: %+v", e)
			}
			if dbs.Settings() != before || limits(t, dbs, "orders").MaxOpen != 5 {
				t.Error("a part of it is in force")
			}
		})
	}
	eventually(t, "the log", func() bool { return strings.Contains(log.String(), "outcome=needs_restart") })
	if strings.Contains(log.String(), secret) {
		t.Errorf("a secret is in the log: %s", log)
	}
}

func TestLimitsThatOnePoolRefusesAreInForceInNone(t *testing.T) {
	_, dsn := newBackend(t)
	dbs := openAll(t, pair(dsn, "maxOpen: 5", "maxOpen: 3"), herzconfig.Config{Static: true})
	all := map[string]*sql.DB{}
	for _, name := range dbs.Names() {
		all[name], _ = dbs.DB(name)
	}
	before := parseMemory(t, pair(dsn, "maxOpen: 5", "maxOpen: 3"))
	// The limits of orders are right for its mode in this text, and wrong for the database that is given for it.
	after := parseMemory(t, pair(dsn, "maxOpen: 6, minIdle: 1", "maxOpen: 4"))
	wrong := map[string]*sql.DB{"orders": all["reports"], "reports": all["orders"]}
	if err := herzconfig.ApplyTo(wrong, before, after); err == nil || !strings.Contains(err.Error(), "MinIdle") {
		t.Errorf("the error is %v", err)
	}
	if a, b := limits(t, dbs, "orders").MaxOpen, limits(t, dbs, "reports").MaxOpen; a != 5 || b != 3 {
		t.Errorf("a part of it is in force: %d and %d", a, b)
	}
	if err := herzconfig.ApplyTo(all, before, after); err != nil {
		t.Error(err)
	}
	if a, b := limits(t, dbs, "orders"), limits(t, dbs, "reports").MaxOpen; a.MaxOpen != 6 || a.MinIdle != 1 || b != 4 {
		t.Errorf("%+v and %d are in force", a, b)
	}
	_ = all["orders"].Close()
	if err := herzconfig.ApplyTo(all, after, parseMemory(t, pair(dsn, "maxOpen: 7", "maxOpen: 2"))); err != nil {
		t.Errorf("a database that its owner has closed keeps the others from their limits: %v", err)
	}
	if b := limits(t, dbs, "reports").MaxOpen; b != 2 {
		t.Errorf("maxOpen of the other is %d", b)
	}
}

func parseMemory(t *testing.T, text string) *herzconfig.Settings {
	t.Helper()
	s, problems := herzconfig.Parser{Env: env(nil), Drivers: memory}.Parse("f", []byte(text))
	if s == nil {
		t.Fatal(problems)
	}
	return s
}

func TestOpenTellsAllErrorsAtOnceAndLeavesNothingOpen(t *testing.T) {
	b, dsn := newBackend(t)
	path := write(t, "pools:\n  good: {driver: memory, dsn: '"+dsn+"', minIdle: 2}\n  far:\n    driver: mysql\n    dsn: root@tcp(db)/shop\n"+
		"  bad:\n    driver: memory\n    dsn: 'memory:x:"+secret+"@nowhere'\n  bare: {}\n")
	_, err := herzconfig.Open(herzconfig.Config{Path: path, Drivers: memory})
	var invalid *herzconfig.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 3 {
		t.Fatalf("the error is %v", err)
	}
	for _, want := range []string{
		":4:13: error: pool far cannot be opened: driver \"mysql\" has no guard in this program: add `import _ \"herz.example/herz/herzmysql\"`",
		":7:13: error: pool bad cannot be opened: the driver cannot use the dsn",
		":9:3: error: pool bare cannot be opened: it has neither driver nor dsn",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("a secret: %v", err)
	}
	eventually(t, "what was dialled is closed", func() bool { return b.open.Load() == 0 })
}

func TestDatabaseIsFoundByNameAndTheErrorKnowsTheOthers(t *testing.T) {
	_, dsn := newBackend(t)
	dbs := openAll(t, pair(dsn, "maxOpen: 5", "maxOpen: 3"), herzconfig.Config{Static: true})
	orders, err := dbs.DB("orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := orders.Exec("work"); err != nil {
		t.Error(err)
	}
	if s := herzsql.Stats(orders); s.Name != "orders" || s.Acquires != 1 {
		t.Errorf("%+v", s)
	}
	if _, err = dbs.DB("order"); err == nil || !strings.Contains(err.Error(), "did you mean orders?") {
		t.Errorf("the error is %v", err)
	}
	if _, err = dbs.DB(""); err == nil || !strings.Contains(err.Error(), "orders, reports") {
		t.Errorf("the error is %v", err)
	}
}

func TestConnectorOfTheProgramIsGivenThePool(t *testing.T) {
	b, _ := newBackend(t)
	var got herzconfig.Pool
	db := open(t, "pool:\n  name: orders\n  heartbeatTimeout: 5s\n  guard:\n    probeAfter: 30ms\n", herzconfig.Config{
		Connector: func(p herzconfig.Pool) (driver.Connector, error) {
			got = p
			return b.connector(p.Guard), nil
		},
	}, "orders")
	if got.Name != "orders" || got.Guard.ProbeAfter != 30*time.Millisecond || got.Guard.HeartbeatTimeout != 5*time.Second || !got.Guard.EOFNeverClean {
		t.Errorf("the connector was made for %+v", got)
	}
	use(t, db, 1)
	for said, c := range map[string]func(herzconfig.Pool) (driver.Connector, error){
		"no token":          func(herzconfig.Pool) (driver.Connector, error) { return nil, errors.New("no token") },
		"gave no connector": func(herzconfig.Pool) (driver.Connector, error) { return nil, nil },
	} {
		if _, err := herzconfig.Open(herzconfig.Config{Path: write(t, "pool: {}"), Connector: c}); err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestCloseIsBoundedAndNamesWhatHangs(t *testing.T) {
	b, dsn := newBackend(t)
	stuck, other := newBackend(t)
	path := write(t, "pools:\n  good: {driver: memory, dsn: '"+dsn+"', heartbeatTimeout: 200ms}\n  hung: {driver: memory, dsn: '"+other+"', mode: guarded, heartbeatTimeout: 200ms}\n")
	dbs, err := herzconfig.Open(herzconfig.Config{Path: path, Drivers: memory, Logger: logger(new(journal))})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range dbs.Names() {
		db, _ := dbs.DB(name)
		use(t, db, 1)
	}
	stuck.stuck.Store(true)
	begun := time.Now()
	err = dbs.Close()
	took := time.Since(begun)
	close(stuck.freed)
	if err == nil || !strings.Contains(err.Error(), "close pool hung: its driver has not closed") || strings.Contains(err.Error(), "good") {
		t.Errorf("the error is %v", err)
	}
	if took > 3*time.Second {
		t.Errorf("Close took %v", took)
	}
	if again := dbs.Close(); again == nil || again.Error() != err.Error() {
		t.Errorf("the second Close gave %v", again)
	}
	if n := b.dials.Load(); n != 1 {
		t.Errorf("%d dials", n)
	}
}

func TestReloadByHandWorksWithoutAWatch(t *testing.T) {
	_, dsn := newBackend(t)
	path := write(t, "")
	dbs := openAll(t, pair(dsn, "maxOpen: 5", "maxOpen: 3"), herzconfig.Config{Path: path, Static: true, Logger: logger(new(journal))})
	put(t, path, pair(dsn, "maxOpen: 6", "maxOpen: 3"))
	if r := dbs.Reload(); r.Outcome != herzconfig.Applied || limits(t, dbs, "orders").MaxOpen != 6 {
		t.Errorf("%+v", r)
	}
	if r := dbs.Reload(); r.Outcome != 0 {
		t.Errorf("%+v", r)
	}
}
