package demo

import (
	"fmt"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/cmd/herz/internal/demo/client"
	"herz.example/herz/cmd/herz/internal/demo/judge"
	"herz.example/herz/cmd/herz/internal/demo/live"
	"herz.example/herz/cmd/herz/internal/demo/script"
)

// What the page is given at most.
const (
	linesMax  = 200
	faultsMax = 24
)

// say adds a line in words to the log of the page.
func (r *run) say(kind, name, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, live.Line{T: time.Since(r.start).Seconds(), Kind: kind, Client: name, Text: text})
	if extra := len(r.lines) - linesMax; extra > 0 {
		r.lines = append([]live.Line(nil), r.lines[extra:]...)
	}
}

// wrongWords says what wrong answers are: the article's pool gives those of other requests, others give a count that is not 1.
func wrongWords(k client.Kind) string {
	if k == client.Article {
		return "answers that belong to another request"
	}
	return "wrong answers"
}

// news says in words what a client began to suffer between two counts.
func news(k client.Kind, before, now judge.Tally) []string {
	var said []string
	more := func(was, is int, what string) {
		if is > was {
			said = append(said, fmt.Sprintf("%d %s in the last second", is-was, what))
		}
	}
	more(before.Wrong, now.Wrong, wrongWords(k)+", status 200")
	more(before.Empty, now.Empty, "empty answers, status 200")
	more(before.Duplicates, now.Duplicates, "requests were executed more than once")
	more(before.DeadLent, now.DeadLent, "requests were put on a dead connection")
	if before.Oldest < judge.Patience && now.Oldest >= judge.Patience {
		said = append(said, fmt.Sprintf("a request waits for %.1f s, without an end in sight", now.Oldest.Seconds()))
	}
	return said
}

// state gives everything that the page shows.
func (r *run) state() live.State {
	now := time.Now()
	s := live.State{
		Now: now.Sub(r.start).Seconds(), Duration: r.length.Seconds(), Seed: r.cfg.Seed, MySQL: embedded, Redis: embedded,
		Board: board.DefaultPrefix, Log: []live.Line{},
	}
	if r.cfg.MySQL != "" {
		s.MySQL = r.mysql.Addr()
	}
	if r.cfg.Redis != "" {
		s.Redis = r.redis.Addr()
	}
	r.mu.Lock()
	s.Done, s.Verdict = r.done, r.verdict
	s.Log = append(s.Log, r.lines...)
	s.Faults = faults(r.events, now.Sub(r.start))
	r.mu.Unlock()
	for i, c := range r.clients {
		s.Clients = append(s.Clients, r.client(i, c, now))
	}
	return s
}

// faults gives those that are over, newest last, the active one and those that come next.
func faults(events []script.Event, now time.Duration) []live.Fault {
	first := 0
	for i, e := range events {
		if e.End < now {
			first = max(0, i-faultsMax/2)
		}
	}
	all := []live.Fault{}
	for _, e := range events[first:min(len(events), first+faultsMax)] {
		all = append(all, live.Fault{
			Name: e.Name, Title: e.Title, Words: e.Words, Start: e.Start.Seconds(), End: e.End.Seconds(), State: string(e.State), Why: e.Why,
		})
	}
	return all
}

func (r *run) client(i int, c *client.Client, now time.Time) live.Client {
	t, history := r.tally(i), r.books[i].History()
	l := live.Client{
		Name: c.Name, Kind: string(c.Kind), About: c.About, Requests: t.Requests, Right: t.Right, Wrong: t.Wrong, Empty: t.Empty,
		Errors: t.Errors, Duplicates: t.Duplicates, LongestStall: t.LongestStall.Seconds(), DeadLent: t.DeadLent, InFlight: t.InFlight,
		Suffering: suffering(c.Kind, t, history, now.Sub(r.start)), History: []live.Bucket{}, Conns: conns(c, now),
	}
	for _, b := range history {
		l.History = append(l.History, live.Bucket{
			T: b.Start.Seconds(), Right: b.Right, Wrong: b.Wrong, Empty: b.Empty, Errors: b.Errors, Duplicates: b.Dup, Stall: b.Stall.Seconds(),
		})
	}
	return l
}

// recently is how far back the suffering of a client goes.
const recently = 1500 * time.Millisecond

// suffering says in words what the client's users suffer now; empty when nothing.
func suffering(k client.Kind, t judge.Tally, history []judge.Bucket, now time.Duration) string {
	var sum judge.Bucket
	for _, b := range history {
		if b.Start >= now-recently {
			sum.Wrong += b.Wrong
			sum.Empty += b.Empty
			sum.Errors += b.Errors
			sum.Dup += b.Dup
		}
	}
	switch {
	case sum.Wrong > 0 && sum.Empty > 0:
		return "users get " + wrongWords(k) + " and empty pages, all with status 200"
	case sum.Dup > 0:
		return "requests are executed more than once"
	case sum.Wrong > 0:
		return "users get " + wrongWords(k) + ", with status 200"
	case sum.Empty > 0:
		return "users get empty pages, with status 200"
	case t.Oldest > time.Second:
		return fmt.Sprintf("%d requests wait, the oldest for %.1f s", t.InFlight, t.Oldest.Seconds())
	case sum.Errors > 0:
		return fmt.Sprintf("%d users got an honest error", sum.Errors)
	default:
		return ""
	}
}

// conns gives the connections as they look from outside, which the client need not know.
func conns(c *client.Client, now time.Time) []live.Conn {
	all := []live.Conn{}
	for _, s := range c.Tap.Conns() {
		l := live.Conn{
			ID: s.ID, State: "idle", Peer: s.Peer, Age: now.Sub(s.Opened).Seconds(), Idle: max(0, now.Sub(s.Last).Seconds()),
		}
		switch {
		case !s.Closed.IsZero():
			l.State, l.Cause, l.Note = "closed", s.Cause, fmt.Sprintf("closed %.1f s ago", now.Sub(s.Closed).Seconds())
		case s.Known:
			l.State, l.Cause, l.Note = "stale", s.Cause, "known to be dead; it will not be lent"
		case s.Waiting:
			l.State = "in_use"
		}
		if s.Closed.IsZero() && !s.Known && !s.DeadSince.IsZero() {
			l.Note = fmt.Sprintf("ended by the server %.1f s ago, and still in the pool", now.Sub(s.DeadSince).Seconds())
		}
		all = append(all, l)
	}
	return all
}
