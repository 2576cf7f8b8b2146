package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"herz.example/herz/pool"
)

// foreign tells requests that a page of another site sent, by what browsers say of it.
var foreign = http.NewCrossOriginProtection()

// howToEnable is for those who find a board that only shows.
const howToEnable = "this board only shows: the program that serves it must set board.Config.Token or AuthorizeAction"

// serveAction does what a POST asks for, and records it. word and verb are what its address names.
func (b *Board) serveAction(w http.ResponseWriter, r *http.Request, word string, verb Verb) {
	begun := time.Now()
	e := auditJSON{From: origin(r), Action: string(verb), Pool: cut(word)}
	run, f := b.prepare(w, r, word, verb, &e)
	if f != nil {
		e.Outcome, e.Detail = refused, f.text
		b.audit.enter(e)
		f.write(w)
		return
	}
	b.audit.begun(e)
	over := false
	defer func() {
		run.release()
		if !over { // the source panicked, which the server of the board gets over
			e.Outcome, e.Detail, e.Seconds = failed, "the source panicked", time.Since(begun).Seconds()
			b.audit.enter(e)
		}
	}()
	ctx, end := b.bounded(r, run.order.timeout)
	defer end()
	// Servers that bound an answer in time would cut a drain off; not every ResponseWriter has deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(run.order.timeout + writeTimeout))
	err := run.do(ctx, &e)
	e.Seconds = time.Since(begun).Seconds()
	status := http.StatusOK
	switch {
	case err == nil:
		e.Outcome = done
	case e.Outcome == refused: // said so by do
		e.Detail, status = err.Error(), http.StatusBadRequest
	default:
		e.Outcome, e.Detail, status = failed, err.Error(), http.StatusInternalServerError
		if errors.Is(err, context.DeadlineExceeded) {
			status = http.StatusGatewayTimeout
		}
	}
	over = true
	e = b.audit.enter(e)
	run.release() // the answer tells of what is under way now
	answer := answerJSON{Schema: schemaVersion, Event: e, Pool: fromEntry(run.entry, run.ref)}
	if err != nil {
		answer.Error = &faultJSON{Code: map[int]string{
			http.StatusBadRequest: "bad_limits", http.StatusGatewayTimeout: "timed_out", http.StatusInternalServerError: "failed",
		}[status], Message: "herz/board: " + string(verb) + " " + short(e.Pool) + ": " + err.Error()}
	}
	writeJSON(w, status, answer)
}

// act is an action that nothing speaks against.
type act struct {
	entry *entry
	ref   string
	verb  Verb
	mark  *Verb // in entry.busy while the action is under way
	on    Controller
	order order
}

// release ends the mark of the action, and never that of another.
func (a *act) release() { a.entry.busy.CompareAndSwap(a.mark, nil) }

// prepare asks everything that can speak against an action, from the cheapest on, and marks the source as busy. Nothing was changed when it
// returns a fault.
func (b *Board) prepare(w http.ResponseWriter, r *http.Request, word string, verb Verb, e *auditJSON) (*act, *fault) {
	if f := b.mayAct(w, r, word, verb, e); f != nil {
		return nil, f
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &fault{status: http.StatusRequestEntityTooLarge, code: "too_large", text: fmt.Sprintf("the body is longer than %d bytes", maxBody)}
	} else if err != nil {
		return nil, &fault{status: http.StatusBadRequest, code: "bad_body", text: "read the body: " + err.Error()}
	}
	o, err := parseOrder(verb, body)
	e.Reason = o.reason
	if err != nil {
		return nil, &fault{status: http.StatusBadRequest, code: "bad_body", text: err.Error()}
	}
	entry, ref, f := b.find(word)
	if f != nil {
		return nil, f
	}
	e.Pool = ref
	on, err := entry.controller()
	if err != nil {
		return nil, &fault{status: http.StatusConflict, code: "not_controllable", text: fmt.Sprintf("%s cannot be changed: %v", short(ref), err)}
	}
	if !entry.busy.CompareAndSwap(nil, &verb) {
		return nil, &fault{status: http.StatusConflict, code: "busy", text: fmt.Sprintf("another action on %s is under way; wait for its end", short(ref))}
	}
	return &act{entry: entry, ref: ref, verb: verb, mark: &verb, on: on, order: o}, nil
}

// mayAct decides who may act. The order matters: what a foreign page sent is refused before a hook that may look at cookies is asked.
func (b *Board) mayAct(w http.ResponseWriter, r *http.Request, word string, verb Verb, e *auditJSON) *fault {
	switch {
	case !slices.Contains(verbs, verb):
		known := make([]string, len(verbs))
		for i, v := range verbs {
			known[i] = string(v)
		}
		text := fmt.Sprintf("there is no action %s%s", short(string(verb)), suggestion(string(verb), known))
		return &fault{status: http.StatusNotFound, code: "unknown_action", text: text}
	case !b.control().Enabled:
		return &fault{status: http.StatusForbidden, code: "control_off", text: howToEnable}
	case foreign.Check(r) != nil:
		return &fault{status: http.StatusForbidden, code: "cross_origin", text: "the request comes from a page of another site"}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &fault{status: http.StatusUnsupportedMediaType, code: "bad_content_type", text: "an action needs Content-Type: application/json"}
	}
	if b.cfg.AuthorizeAction != nil {
		who, err := b.cfg.AuthorizeAction(r, Action{Verb: verb, Source: word})
		e.Who = cut(who)
		if err != nil {
			return &fault{status: http.StatusForbidden, code: "forbidden", text: "you are not allowed to do that"}
		}
		return nil
	}
	if !b.cfg.Token.borneBy(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="herz"`)
		text := "an action needs the board's token: send Authorization: Bearer and the token"
		if r.Header.Get("Authorization") != "" {
			text = "this is not the board's token"
		}
		return &fault{status: http.StatusUnauthorized, code: "unauthorized", text: text}
	}
	e.Who = "token"
	return nil
}

// do does it. What it knows of before and after goes into the record.
func (a *act) do(ctx context.Context, e *auditJSON) (err error) {
	if a.verb == ChangeLimits {
		return a.changeLimits(e)
	}
	e.Before = a.numbers()
	defer func() { e.After = a.numbers() }()
	switch a.verb {
	case Evict:
		e.Closed, err = a.on.EvictStale(ctx)
	case Invalidate:
		a.on.Invalidate(&orderedError{who: e.Who, reason: e.Reason})
	case Drain:
		err = a.on.Drain(ctx)
	case ChangeLimits: // above
	}
	return err
}

func (a *act) changeLimits(e *auditJSON) error {
	before := a.on.Limits()
	wanted, err := amend(before, a.order.limits)
	if err == nil {
		err = a.on.SetLimits(wanted)
	}
	switch {
	case errors.Is(err, pool.ErrClosed):
		return err
	case err != nil:
		e.Outcome = refused
		return errors.New(inJSON(err))
	}
	e.Before, e.After = difference(before, a.on.Limits(), a.order.limits)
	return nil
}

// numbers are what an action on connections changes.
func (a *act) numbers() map[string]any {
	s := a.on.Stats()
	return map[string]any{"open": s.Open, "idle": s.Idle, "in_use": s.InUse, "stale": s.Stale, "waiting": s.Waiting, "generation": s.Generation}
}

// orderedError is the cause of an invalidation that somebody asked for.
type orderedError struct{ who, reason string }

func (e *orderedError) Error() string {
	text := "invalidated on the board by " + e.who
	if e.reason != "" {
		text += ": " + e.reason
	}
	return text
}

// bounded gives an action its time. It goes on when its caller leaves, so that the record tells how it ended, and ends when its server
// shuts down, which would wait for it.
func (b *Board) bounded(r *http.Request, limit time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), limit)
	over := b.shutdowns.of(r)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-gone }
}

// origin is where a request comes from: the other end of its connection, and whom a proxy there speaks for.
func origin(r *http.Request) string {
	from := r.RemoteAddr
	for _, h := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if v := r.Header.Get(h); v != "" {
			from += " for " + cut(v)
			break
		}
	}
	return from
}

// cut shortens what a caller sent before it is remembered.
func cut(text string) string { return shorten(text, 100) }

func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
