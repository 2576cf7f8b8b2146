package herzconfig

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// Change is one key whose value differs between two versions of a file.
type Change struct {
	Pool   string `json:"pool"`   // empty: the key is no pool's
	Key    string `json:"key"`    // as in the file, such as guard.probeAfter; empty when the whole pool came or went
	Before string `json:"before"` // as it stood in the file; empty: it did not. A secret is shown as [secret].
	After  string `json:"after"`
	Live   bool   `json:"live"` // it can be put in force while the program runs
}

// String gives the change on one line.
func (c Change) String() string {
	if c.Key == "" {
		if c.Before == "" {
			return fmt.Sprintf("pool %s was added", c.Pool)
		}
		return fmt.Sprintf("pool %s was removed", c.Pool)
	}
	if c.Pool == "" {
		return fmt.Sprintf("%s: %s → %s", c.Key, orDefault(c.Before), orDefault(c.After))
	}
	return fmt.Sprintf("%s.%s: %s → %s", c.Pool, c.Key, orDefault(c.Before), orDefault(c.After))
}

func orDefault(s string) string {
	if s == "" {
		return "default"
	}
	return s
}

// Changes lists what differs between two versions of a file, in the order of the newer one. The order of pools, comments and
// spelling are no differences.
func Changes(before, after *Settings) []Change {
	var all []Change
	for _, b := range after.pools {
		a, ok := before.Pool(b.Name)
		if !ok {
			all = append(all, Change{Pool: b.Name, After: b.from.path})
			continue
		}
		all = append(all, changed(a.from, b.from, b.Name)...)
	}
	for _, a := range before.pools {
		if _, ok := after.Pool(a.Name); !ok {
			all = append(all, Change{Pool: a.Name, Before: a.from.path})
		}
	}
	for _, c := range compared("", webFields, before.web.has, after.web.has, reflect.ValueOf(before.web.keys), reflect.ValueOf(after.web.keys)) {
		c.Key = "websocket." + c.Key
		all = append(all, c)
	}
	return all
}

func changed(a, b *poolFile, name string) []Change {
	all := append(compared("", poolFields, a.has, b.has, reflect.ValueOf(a.keys), reflect.ValueOf(b.keys)),
		compared("guard.", guardFields, a.has, b.has, reflect.ValueOf(a.keys.Guard), reflect.ValueOf(b.keys.Guard))...)
	for i := range all {
		all[i].Pool = name
	}
	return all
}

// compared lists the keys of a group whose values differ.
func compared(group string, fields []field, a, b map[string]entry, x, y reflect.Value) (all []Change) {
	for _, f := range fields {
		if f.sort() == nested || f.key == "name" {
			continue
		}
		key := group + f.key
		ea, ina := a[key]
		eb, inb := b[key]
		if ina == inb && x.Field(f.index).Equal(y.Field(f.index)) {
			continue
		}
		all = append(all, Change{Key: key, Before: f.told(ea, ina), After: f.told(eb, inb), Live: !f.restart})
	}
	return all
}

// told shows a value as it stands in the file, without what the environment puts in.
func (f field) told(e entry, in bool) string {
	switch {
	case !in:
		return ""
	case f.secret:
		return hidden
	default:
		return strings.TrimSpace(e.raw)
	}
}

// RestartError says that a file asks for changes that a running program cannot make. None of its changes was made.
type RestartError struct{ Changes []Change } // those that need the restart

// Error names the changes.
func (e *RestartError) Error() string {
	all := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		all[i] = c.String()
	}
	return "herz/herzconfig: these changes need a restart, and nothing of the file was put in force: " + strings.Join(all, "; ")
}

// ApplyTo puts the difference between two versions of a file in force on open databases, by their names, all of it or nothing: when a change needs a
// restart the error is a [*RestartError], and when a database refuses its limits the others get theirs back. Databases that are not in the map, or are
// closed, are left out. Limits that were set by other means stay, unless the file changes those of the same pool.
func ApplyTo(dbs map[string]*sql.DB, before, after *Settings) error {
	views := make(map[string]*herzsql.View, len(dbs))
	for name, db := range dbs {
		views[name] = herzsql.Source(db)
	}
	return apply(views, before, after)
}

func apply(views map[string]*herzsql.View, before, after *Settings) error {
	var restart []Change
	for _, c := range Changes(before, after) {
		if !c.Live {
			restart = append(restart, c)
		}
	}
	if len(restart) > 0 {
		return &RestartError{Changes: restart}
	}
	var due []step
	var errs []error
	for _, p := range after.pools {
		was, _ := before.Pool(p.Name)
		v := views[p.Name]
		if v == nil || v.Name() == "" || was.Limits == p.Limits { // a view without a name is that of a closed database
			continue
		}
		if err := v.CheckLimits(p.Limits); err != nil {
			errs = append(errs, fmt.Errorf("pool %s: %w", p.Name, err))
		}
		due = append(due, step{p.Name, v, p.Limits})
	}
	if len(errs) > 0 {
		return fmt.Errorf("herz/herzconfig: nothing of the file was put in force: %w", errors.Join(errs...))
	}
	return setAll(due)
}

// step is one pool's part of a change.
type step struct {
	name   string
	view   *herzsql.View
	limits pool.Limits
}

// setAll sets all limits, or gives the pools back what they had.
func setAll(due []step) error {
	var done []step
	for _, s := range due {
		had := s.view.Limits()
		err := s.view.SetLimits(s.limits)
		if errors.Is(err, pool.ErrClosed) {
			continue
		}
		if err != nil {
			for _, d := range done {
				err = errors.Join(err, d.view.SetLimits(d.limits))
			}
			return fmt.Errorf("herz/herzconfig: nothing of the file was put in force: pool %s: %w", s.name, err)
		}
		done = append(done, step{s.name, s.view, had})
	}
	return nil
}
