//go:build linux

package main

import (
	"time"

	"herz.example/herz/faultlab/proxy"
)

// fault is one row of the matrix.
type fault struct {
	name     string
	title    string
	products []product
	bars     bars
	play     func(s *scene)
	tls      bool
}

var (
	idleBars     = bars{stall: barIdle}
	flightBars   = bars{stall: barFlight, errors: anyError}
	demotionBars = bars{errors: anyError, writable: barWritable}
	answerBars   = bars{errors: anyError, honest: true}
)

// faults are all rows, in their order.
var faults = []fault{
	{"restart", "server killed and restarted; idle connections get a FIN", products, idleBars, restarted, false},
	{"idle-timeout", "idle time-out of the server 2 s, idle 4.5 s", products, idleBars, timedOut, false},
	{"drop-at-once", "flows dropped, used at once", products, bars{stall: barFlight, young: true}, droppedAtOnce, false},
	{"drop-4s", "flows dropped, used 4 s later", products, idleBars, droppedEarlier, false},
	{"hole-3.2s", "black hole of 3.2 s, writes in flight", products, flightBars, holed(3200 * time.Millisecond), false},
	{"hole-10s", "black hole of 10 s, writes in flight", products, flightBars, holed(10 * time.Second), false},
	{"half-open", "half-open: the server vanished and came back without its state; RST on use", products, idleBars, halfOpen, false},
	{"replaced", "fail-over in place: another server at the same address, the old one killed", products, idleBars, replaced, false},
	{"demoted", "fail-over in place: the server demoted, its address leads to another one", sqlProducts, demotionBars, demoted, false},
	{"moved", "name moved, the old server lives and keeps its flows", products, bars{stale: barStale}, moved(false), false},
	{"moved-dropped", "name moved, old flows dropped while they are used", products, bars{stall: barFlight, young: true, stale: barStale}, moved(true), false},
	{"frozen", "server frozen for 6 s: its kernel acknowledges, its processes stand", products, flightBars, frozen, false},
	{"full", "server full for 4 s", sqlProducts, bars{errors: anyError, dials: barDials}, full, false},
	{"haproxy", "HAProxy closes what was idle for 2 s, idle 4.5 s", products, idleBars, closedByHAProxy, false},
	{"answer-fin", "answer lost after execution (FIN), 30 writes", products, answerBars, answersLost(proxy.FIN), false},
	{"answer-rst", "answer lost after execution (RST), 30 writes", products, answerBars, answersLost(proxy.RST), false},
	{"cut-fin", "result cut behind every byte (FIN)", products, bars{errors: anyError}, resultsCut(proxy.FIN, false), false},
	{"cut-rst", "result cut behind every byte (RST)", products, bars{errors: anyError}, resultsCut(proxy.RST, false), false},
	{"cut-prepared-fin", "result of a prepared statement cut behind every byte (FIN)", sqlProducts, bars{errors: anyError}, resultsCut(proxy.FIN, true), false},
	{"cut-prepared-rst", "result of a prepared statement cut behind every byte (RST)", sqlProducts, bars{errors: anyError}, resultsCut(proxy.RST, true), false},
	{"tls-idle-timeout", "TLS, verified: idle time-out of the server 2 s, idle 4.5 s (FIN)", sqlProducts, idleBars, timedOut, true},
	{"tls-drop-4s", "TLS, verified: flows dropped, used 4 s later", sqlProducts, idleBars, droppedEarlier, true},
	{"tls-hole-3.2s", "TLS, verified: black hole of 3.2 s, writes in flight", sqlProducts, flightBars, holed(3200 * time.Millisecond), true},
	{"tls-half-open", "TLS, verified: half-open", sqlProducts, idleBars, halfOpen, true},
}
