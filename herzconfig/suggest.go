package herzconfig

import (
	"fmt"
	"slices"
	"strings"
)

// abroad are what other pools call the same thing: HikariCP, Commons DBCP, database/sql, pgxpool.
var abroad = map[string]string{
	"maximumpoolsize": "maxOpen", "maxtotal": "maxOpen", "maxactive": "maxOpen", "maxopenconns": "maxOpen", "maxconns": "maxOpen", "poolsize": "maxOpen",
	"size": "maxOpen", "minimumidle": "minIdle", "minconns": "minIdle", "minidleconns": "minIdle", "maxidleconns": "maxIdle",
	"idletimeout": "maxIdleTime", "connmaxidletime": "maxIdleTime", "maxconnidletime": "maxIdleTime", "minevictableidletimemillis": "maxIdleTime",
	"connmaxlifetime": "maxLifetime", "maxconnlifetime": "maxLifetime", "maxconnlifetimemillis": "maxLifetime", "maxage": "maxLifetime",
	"connectiontimeout": "acquireTimeout", "maxwait": "acquireTimeout", "maxwaitmillis": "acquireTimeout", "pooltimeout": "acquireTimeout",
	"connectiontestquery": "validationQuery", "testquery": "validationQuery", "validationtimeout": "heartbeatTimeout",
	"keepalivetime": "heartbeatEvery", "testwhileidle": "heartbeatEvery", "healthcheckperiod": "heartbeatEvery",
	"leakdetectionthreshold": "leakAfter", "removeabandonedtimeout": "leakAfter", "poolname": "name", "url": "dsn", "jdbcurl": "dsn",
	"connectionstring": "dsn", "driverclassname": "driver",
}

// guess finds the word that was meant; empty when none is near.
func guess(word string, known []string) string {
	plain := bare(word)
	for _, k := range known {
		if bare(k) == plain {
			return k
		}
	}
	if other := abroad[plain]; slices.Contains(known, other) {
		return other
	}
	best, least := "", 1+max(1, min(3, len(plain)/3))
	for _, k := range known {
		if d := distance(plain, bare(k), least); d < least {
			best, least = k, d
		}
	}
	return best
}

// meant is the end of a sentence about a word that is not known.
func meant(word string, known []string) string {
	if g := guess(word, known); g != "" {
		return fmt.Sprintf("; did you mean %s?", g)
	}
	return ""
}

// bare is a word without what differs between styles: maxOpen, max_open, max-open.
func bare(word string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c == ' ' || c == '.' {
			return -1
		}
		return c
	}, strings.ToLower(word))
}

// distance counts the letters that have to be added, removed, changed or swapped with their neighbour, up to limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	above := make([]int, len(b)+1) // the row before the previous one
	prev := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], above[j-2]+1)
			}
		}
		above, prev, row = prev, row, above
	}
	return min(prev[len(b)], limit)
}
