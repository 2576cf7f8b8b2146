package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"herz.example/herz/pool"
)

// limitField is one limit as it is called in JSON. Exactly one of the four functions is set.
type limitField struct {
	name, field string // in JSON; in pool.Limits
	zero        bool   // 0 is what it says, and does not stand for a default
	count       func(*pool.Limits) *int
	span        func(*pool.Limits) *time.Duration // seconds in JSON
	share       func(*pool.Limits) *float64
	flag        func(*pool.Limits) *bool
}

var limitFields = []limitField{
	{name: "max_open", field: "MaxOpen", count: func(l *pool.Limits) *int { return &l.MaxOpen }},
	{name: "min_idle", field: "MinIdle", zero: true, count: func(l *pool.Limits) *int { return &l.MinIdle }},
	{name: "keep_warm", field: "KeepWarm", zero: true, count: func(l *pool.Limits) *int { return &l.KeepWarm }},
	{name: "keep_warm_elastic", field: "KeepWarmElastic", share: func(l *pool.Limits) *float64 { return &l.KeepWarmElastic }},
	{name: "max_waiters", field: "MaxWaiters", count: func(l *pool.Limits) *int { return &l.MaxWaiters }},
	{name: "max_dialing", field: "MaxDialing", count: func(l *pool.Limits) *int { return &l.MaxDialing }},
	{name: "max_closing", field: "MaxClosing", count: func(l *pool.Limits) *int { return &l.MaxClosing }},
	{name: "reconnect_per_second", field: "ReconnectPerSecond", count: func(l *pool.Limits) *int { return &l.ReconnectPerSecond }},
	{name: "max_uses", field: "MaxUses", zero: true, count: func(l *pool.Limits) *int { return &l.MaxUses }},
	{name: "max_lifetime_seconds", field: "MaxLifetime", span: func(l *pool.Limits) *time.Duration { return &l.MaxLifetime }},
	{name: "max_lifetime_jitter_seconds", field: "MaxLifetimeJitter", span: func(l *pool.Limits) *time.Duration { return &l.MaxLifetimeJitter }},
	{name: "max_idle_seconds", field: "MaxIdleTime", span: func(l *pool.Limits) *time.Duration { return &l.MaxIdleTime }},
	{name: "heartbeat_every_seconds", field: "HeartbeatEvery", span: func(l *pool.Limits) *time.Duration { return &l.HeartbeatEvery }},
	{name: "heartbeat_timeout_seconds", field: "HeartbeatTimeout", span: func(l *pool.Limits) *time.Duration { return &l.HeartbeatTimeout }},
	{name: "ping_after_seconds", field: "PingAfter", span: func(l *pool.Limits) *time.Duration { return &l.PingAfter }},
	{name: "acquire_timeout_seconds", field: "AcquireTimeout", span: func(l *pool.Limits) *time.Duration { return &l.AcquireTimeout }},
	{name: "leak_after_seconds", field: "LeakAfter", zero: true, span: func(l *pool.Limits) *time.Duration { return &l.LeakAfter }},
	{name: "test_on_borrow", field: "TestOnBorrow", zero: true, flag: func(l *pool.Limits) *bool { return &l.TestOnBorrow }},
}

func limitNames() []string {
	names := make([]string, len(limitFields))
	for i, f := range limitFields {
		names[i] = f.name
	}
	return names
}

// value is the limit as JSON has it.
func (f limitField) value(l *pool.Limits) any {
	switch {
	case f.count != nil:
		return *f.count(l)
	case f.span != nil:
		return f.span(l).Seconds()
	case f.share != nil:
		return *f.share(l)
	default:
		return *f.flag(l)
	}
}

// spanMax bounds a length of time: more seconds than that are a mistake, and would not fit.
const spanMax = 1e9

// set takes a value from JSON. Null stands for the default.
func (f limitField) set(l *pool.Limits, raw json.RawMessage) error {
	text := string(bytes.TrimSpace(raw))
	if text == "null" {
		f.clear(l)
		return nil
	}
	switch {
	case f.flag != nil:
		if text != "true" && text != "false" {
			return fmt.Errorf("%s is %s; it must be true or false", f.name, short(text))
		}
		*f.flag(l) = text == "true"
		return nil
	case f.count != nil:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return fmt.Errorf("%s is %s; it must be a whole number", f.name, short(text))
		}
		*f.count(l) = int(n)
	default:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || math.Abs(x) > spanMax {
			unit := "a number"
			if f.span != nil {
				unit = "a number of seconds"
			}
			return fmt.Errorf("%s is %s; it must be %s", f.name, short(text), unit)
		}
		if f.share != nil {
			*f.share(l) = x
		} else {
			*f.span(l) = time.Duration(math.Round(x * float64(time.Second)))
		}
	}
	if !f.zero && f.isZero(l) {
		return fmt.Errorf("%s is %s, which stands for the default in the program; write null if you want that", f.name, short(text))
	}
	return nil
}

func (f limitField) clear(l *pool.Limits) {
	switch {
	case f.count != nil:
		*f.count(l) = 0
	case f.span != nil:
		*f.span(l) = 0
	case f.share != nil:
		*f.share(l) = 0
	default:
		*f.flag(l) = false
	}
}

func (f limitField) isZero(l *pool.Limits) bool {
	var none pool.Limits
	return f.value(l) == f.value(&none)
}

// amend puts the named limits in the place of those in force. A jitter that is the default of the old lifetime becomes that of
// the new one.
func amend(l pool.Limits, named map[string]json.RawMessage) (pool.Limits, error) {
	before := l
	for _, f := range limitFields {
		if raw, ok := named[f.name]; ok {
			if err := f.set(&l, raw); err != nil {
				return before, err
			}
		}
	}
	if _, named := named["max_lifetime_jitter_seconds"]; !named && l.MaxLifetime != before.MaxLifetime &&
		before.MaxLifetimeJitter == max(before.MaxLifetime/10, 0) {
		l.MaxLifetimeJitter = 0
	}
	return l, nil
}

// difference gives the limits that are not the same, and those that were named, before and after.
func difference(before, after pool.Limits, named map[string]json.RawMessage) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	for _, f := range limitFields {
		if _, n := named[f.name]; n || f.value(&before) != f.value(&after) {
			was[f.name], is[f.name] = f.value(&before), f.value(&after)
		}
	}
	return was, is
}

// fieldNames finds names of pool.Limits in a sentence. The longest go first.
var fieldNames = func() *regexp.Regexp {
	var names []string
	for _, f := range limitFields {
		names = append(names, f.field)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	return regexp.MustCompile(`\b(` + strings.Join(names, "|") + `)\b`)
}()

// inJSON says an error of SetLimits in the words of its caller, and on one line.
func inJSON(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	for _, where := range []string{"herz/pool: limits: ", "herz/herzsql: limits: "} {
		text = strings.TrimPrefix(text, where)
	}
	return fieldNames.ReplaceAllStringFunc(text, func(field string) string {
		for _, f := range limitFields {
			if f.field == field {
				return f.name
			}
		}
		return field
	})
}

// short quotes what a caller sent, cut where it is long.
func short(text string) string {
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return strconv.Quote(text)
}
