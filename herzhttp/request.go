package herzhttp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// triesMost bounds how often one request is sent. Repeats are of requests that were not delivered, or that are harmless.
const triesMost = 4

// missesMost bounds how often a request meets a connection that had just said goodbye. Each time that connection is taken out, so that there is an end.
const missesMost = 16

// request is one call of RoundTrip.
type request struct {
	of     *Transport
	host   *host
	asked  *http.Request          // what the caller gave
	req    *http.Request          // what is sent
	body   *payload               // its body; nil: none, or one whose Close does not matter
	trace  *httptrace.ClientTrace // what the caller wants to see; nil: nothing
	tries  int
	misses int  // of these, the connection took no request any more
	maybe  bool // one of these that failed may have been executed

	refusals int // how often the server refused the stream

	// Of the newest try.
	link   *link // nil: there was no connection
	fate   fate  // if it failed
	reused bool
	began  int64
	waited time.Duration
}

func (t *Transport) begin(req *http.Request) (request, error) {
	h, err := t.host(req.URL, t.needsHTTP1(req))
	if err != nil {
		return request{}, err
	}
	r := request{of: t, host: h, asked: req, req: req, trace: httptrace.ContextClientTrace(req.Context())}
	r.attend()
	return r, nil
}

// try sends the request once.
func (r *request) try() (*http.Response, error) {
	r.tries++
	r.link, r.fate = nil, refused // where there is no connection, the pool has tried what can be tried
	lease, err := r.borrow()
	if err != nil {
		closeBody(r.req)
		return nil, err
	}
	if ctx := r.req.Context(); ctx.Err() != nil {
		r.fate = undelivered
		r.untouched(lease)
		return nil, &waitError{ctx.Err(), context.Cause(ctx)}
	}
	l := r.link
	resp, err := l.cc.RoundTrip(r.req)
	switch {
	case err == nil:
	case invalid(err):
		r.untouched(lease)
		return nil, err
	default:
		r.fate = r.fateOf(err) // before the connection is given up, and its record of the exchange with it
		r.giveUp(lease, err)
		return nil, err
	}
	resp.Request = r.asked
	l.answers.Add(1)
	if !l.http2 {
		l.obey(resp.Header)
	}
	r.told(resp.StatusCode, false, nil)
	return r.answered(lease, resp), nil
}

// borrow gets the connection for one try. A host that was forgotten in this moment is asked for again.
func (r *request) borrow() (pool.Lease[*link], error) {
	ctx := r.req.Context()
	var asked int64 // nobody else wants to know
	if r.of.cfg.Watch != nil {
		asked = clock()
	}
	if r.trace != nil && r.trace.GetConn != nil {
		r.trace.GetConn(r.host.address)
	}
	lease, l, err := r.host.borrow(ctx)
	if errors.Is(err, pool.ErrClosed) {
		h, again := r.of.host(r.req.URL, r.host.http1)
		if again != nil || h == r.host {
			return lease, ErrClosed
		}
		r.host = h
		lease, l, err = h.borrow(ctx)
	}
	if err != nil {
		r.waited, r.reused = time.Duration(clock()-asked), false
		r.host.lastUse.Store(clock())
		if ctx.Err() != nil && context.Cause(ctx) != nil {
			err = &waitError{err, context.Cause(ctx)}
		}
		return lease, err
	}
	r.link, r.reused = l, l.used()
	r.began = clock()
	r.waited = time.Duration(r.began - asked)
	r.host.lastUse.Store(r.began)
	if r.trace != nil && r.trace.GotConn != nil {
		r.gotConn()
	}
	return lease, nil
}

// gotConn tells the caller's trace, as net/http does.
func (r *request) gotConn() {
	info := httptrace.GotConnInfo{Reused: r.reused}
	if r.link.guard != nil {
		info.Conn = r.link.guard
	}
	if rested := r.link.rested.Load(); r.reused && rested != 0 {
		info.WasIdle, info.IdleTime = true, time.Duration(r.began-rested)
	}
	r.trace.GotConn(info)
}

// untouched returns a connection of which the request made no use.
func (r *request) untouched(lease pool.Lease[*link]) {
	r.link.leave()
	lease.Release()
	closeBody(r.req)
}

// giveUp returns the connection on which the request failed.
func (r *request) giveUp(lease pool.Lease[*link], err error) {
	r.body.giveUp()
	l := r.link
	l.leave()
	if l.http2 && takesNoMore(err) {
		r.misses++
		l.of.width.learn(l.begun.Load() - l.refused.Add(1))
		lease.Discard(errGoodbye) // others that are under way on it end as they would
		return
	}
	l.end(r.req.Context(), lease, r.began, err)
}

// end returns a connection whose request ended with err. Over HTTP/1 it is of no more use; over HTTP/2 only a stream has ended, unless net/http says otherwise,
// and when time ran out the connection has to show that it is alive. Began is when the request did, by clock; 0: its answer has begun.
func (l *link) end(ctx context.Context, lease pool.Lease[*link], began int64, err error) {
	switch {
	case !l.http2:
		lease.Discard(err)
	case l.cc.Err() != nil:
		lease.Discard(l.cc.Err())
	case ctx.Err() != nil || isTimeout(err):
		if began != 0 {
			l.doubted.Store(began)
		}
		lease.Doubt()
	default:
		lease.Release()
	}
}

func isTimeout(err error) bool {
	var timed interface{ Timeout() bool }
	return errors.As(err, &timed) && timed.Timeout()
}

// told tells the Watch of a try.
func (r *request) told(status int, repeats bool, err error) {
	if r.of.cfg.Watch == nil {
		return
	}
	t := Try{Host: r.host.address, Method: methodOf(r.req), Reused: r.reused, Waited: r.waited, Status: status, Repeats: repeats, Err: err}
	t.Unsent = err != nil && r.fate == undelivered
	if l := r.link; l != nil {
		t.HTTP2, t.FirstByte = l.http2, time.Duration(clock()-r.began)
		if l.guard != nil {
			t.Conn = l.guard.ID()
		}
	}
	r.of.cfg.Watch.Tried(t)
}

func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

// obey heeds what the server says of its idle time-out. Another server of the same host may say something else.
func (l *link) obey(header http.Header) {
	if said := header["Keep-Alive"]; len(said) > 0 {
		if timeout := keepAliveOf(said[0]); timeout > 0 {
			l.keeps.Store(int64(usedOf(timeout)))
		}
	}
}

// keepAliveOf reads the idle time-out out of "timeout=5, max=100" (RFC 2068 §19.7.1.1, and what servers do). 0: it says none.
func keepAliveOf(value string) time.Duration {
	for part := range strings.SplitSeq(value, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "timeout") {
			continue
		}
		if seconds, err := strconv.Atoi(strings.TrimSpace(number)); err == nil && seconds > 0 && seconds < 1<<30 {
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}

// lost reports whether the connection ended by the peer or the path, and not because of what net/http thought of the answer.
func (l *link) lost() bool {
	return l.cut() && (l.http2 || l.guard == nil || l.guard.Delivery() != conn.Answered)
}

// cut reports the same of a connection on which the answer may have begun. Without a guard only net/http's word is known.
func (l *link) cut() bool {
	switch {
	case l.http2:
		return l.cc.Err() != nil
	case l.guard == nil:
		err := l.cc.Err()
		return err != nil && !isTimeout(err)
	}
	d, dead := l.guard.Death()
	return dead && !d.Cause.Ours()
}
