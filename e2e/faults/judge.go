//go:build linux

package main

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"herz.example/herz/guard"
)

// figures are what one client did under one fault. Seconds where a time is meant.
type figures struct {
	Calls     int `json:"calls"`
	Errors    int `json:"errors"`    // that the caller got
	Ambiguous int `json:"ambiguous"` // of these: guard.ErrAmbiguous
	Hung      int `json:"hung"`      // had not ended when nobody watched any more

	// Stall is the longest time from the fault, or from the beginning of the call when that was later, to the outcome.
	Stall float64 `json:"stall"`
	// InFlight is the same of calls that were on the server when it froze, and not in Stall.
	InFlight       float64 `json:"in_flight,omitempty"`
	InFlightErrors int     `json:"in_flight_errors,omitempty"`

	Acknowledged int `json:"acknowledged"` // writes
	Lost         int `json:"lost"`         // acknowledged, and not on any server
	Duplicates   int `json:"duplicates"`   // rows more than once on the servers
	DeadLent     int `json:"dead_lent"`
	Results      int `json:"results,omitempty"` // that were cut
	Short        int `json:"short,omitempty"`   // of these: fewer rows than there are, and no error

	Stale    *float64 `json:"stale,omitempty"`    // from the move to the end of the last read that the old server answered
	OldTook  int      `json:"old_took,omitempty"` // writes that the old server took after the move
	Writable *float64 `json:"writable,omitempty"` // from the demotion to the first write that the new server has
	Dials    *float64 `json:"dials,omitempty"`    // a second
	Back     *float64 `json:"back,omitempty"`     // from the first free place to the first call that succeeded

	Said string `json:"said,omitempty"` // the first error, of those that are not ErrAmbiguous if there are any
}

// bars are what Herz has to reach under one fault. What is zero everywhere is asked under every fault: duplicates, lost
// acknowledged writes, silent short results, dead connections lent, calls that hang.
type bars struct {
	stall    time.Duration // 0: none
	errors   int           // most of them; anyError: as many as there are
	young    bool          // connections were used within the last second: one ErrAmbiguous each
	honest   bool          // every error is ErrAmbiguous
	stale    time.Duration // 0: none
	writable time.Duration // 0: none
	dials    float64       // a second; 0: none
}

const anyError = -1

// The figures of the bars.
const (
	barIdle     = 500 * time.Millisecond
	barFlight   = 3200 * time.Millisecond
	barStale    = 2 * time.Second
	barWritable = 2 * time.Second
	barDials    = 20
)

// check is one bar and what was reached.
type check struct {
	Bar string `json:"bar"`
	Got string `json:"got"`
	Met bool   `json:"met"`
}

// judge holds the figures against the bars.
func (b bars) judge(f figures) []check {
	most := func(what string, got, limit int) check {
		return check{fmt.Sprintf("%s ≤ %d", what, limit), fmt.Sprint(got), got <= limit}
	}
	checks := []check{
		most("duplicates", f.Duplicates, 0), most("lost acknowledged writes", f.Lost, 0), most("silent short results", f.Short, 0),
		most("dead connections lent", f.DeadLent, 0), most("hanging calls", f.Hung, 0),
		most("errors of calls that a frozen server had", f.InFlightErrors, 0),
	}
	switch {
	case b.young:
		checks = append(checks, most("ErrAmbiguous, one a connection", f.Ambiguous, connections), most("other errors", f.Errors-f.Ambiguous, 0))
	case b.honest:
		checks = append(checks, most("errors other than ErrAmbiguous", f.Errors-f.Ambiguous, 0))
	case b.errors != anyError:
		checks = append(checks, most("errors", f.Errors, b.errors))
	}
	within := func(what string, got *float64, limit time.Duration) {
		if limit == 0 {
			return
		}
		c := check{Bar: fmt.Sprintf("%s ≤ %v", what, limit), Got: "never"}
		if got != nil {
			c.Got, c.Met = fmt.Sprintf("%.3f s", *got), *got <= limit.Seconds()
		}
		checks = append(checks, c)
	}
	within("stall", &f.Stall, b.stall)
	within("stale reads", f.Stale, b.stale)
	within("first write elsewhere", f.Writable, b.writable)
	if b.dials > 0 {
		c := check{Bar: fmt.Sprintf("dials ≤ %g a second", b.dials), Got: "not counted"}
		if f.Dials != nil {
			c.Got, c.Met = fmt.Sprintf("%.1f", *f.Dials), *f.Dials <= b.dials
		}
		checks = append(checks, c)
	}
	return checks
}

// missed gives the checks that were not met.
func missed(all []check) []check {
	return slices.DeleteFunc(slices.Clone(all), func(c check) bool { return c.Met })
}

// sum counts the calls since the fault began, where new connections would have been served again from usable on.
func (f *figures) sum(ops []op, fault, usable time.Time, young bool) {
	excused := 0
	for _, o := range ops {
		if o.ended.Before(fault) && o.err == nil {
			continue // before it
		}
		f.Calls++
		if o.hung {
			f.Hung++
		}
		if o.flight {
			f.InFlight = max(f.InFlight, o.since(fault).Seconds())
		} else {
			f.Stall = max(f.Stall, o.since(fault).Seconds())
		}
		if o.err == nil || o.hung {
			continue
		}
		if o.flight {
			f.InFlightErrors++
		}
		f.Errors++
		ambiguous := errors.Is(o.err, guard.ErrAmbiguous)
		if ambiguous {
			f.Ambiguous++
		}
		if f.Said == "" || !ambiguous && f.Errors == f.Ambiguous+1 {
			f.Said = o.err.Error()
		}
		switch {
		case o.begun.Before(usable), ofDial(o.err), ofServer(o.err):
		case young && ambiguous && excused < connections:
			excused++
		default:
			f.DeadLent++
		}
	}
}

// since is how long the outcome took from the fault, or from the beginning of the call when that was later.
func (o *op) since(fault time.Time) time.Duration {
	if o.begun.After(fault) {
		fault = o.begun
	}
	return max(o.ended.Sub(fault), 0)
}

// ofDial reports whether there was no connection at all, so that none was lent.
func ofDial(err error) bool {
	var dial *net.OpError
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, guard.ErrDead), errors.Is(err, guard.ErrAmbiguous):
		return false
	case errors.As(err, &connect):
		return true
	case errors.As(err, &dial):
		return dial.Op == "dial"
	default:
		return strings.Contains(err.Error(), "no dial, because")
	}
}

// ofServer reports whether a server said in a whole answer that it does not do this, because of its role or because it is full. Its
// connection was not dead.
func ofServer(err error) bool {
	var my *mysql.MySQLError
	var pg *pgconn.PgError
	var lib *pq.Error
	switch {
	case errors.As(err, &my):
		return slices.Contains([]uint16{1040, 1203, 1290, 1792, 1836}, my.Number)
	case errors.As(err, &pg):
		return slices.Contains(refusals, pg.Code)
	case errors.As(err, &lib):
		return slices.Contains(refusals, string(lib.Code))
	default:
		return false
	}
}

// refusals are read_only_sql_transaction and too_many_connections of PostgreSQL.
var refusals = []string{"25006", "53300"}

// account compares what was acknowledged with what is on the servers.
func (f *figures) account(ops []op, applied map[int]int) {
	for _, o := range ops {
		if !o.write {
			continue
		}
		if o.err == nil && !o.hung {
			f.Acknowledged++
			if applied[o.id] == 0 {
				f.Lost++
			}
		}
	}
	for _, n := range applied {
		f.Duplicates += max(0, n-1)
	}
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}
