package herzws

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/guard"
)

// attempt is what came of one request for a WebSocket.
type attempt struct {
	c     *Conn  // nil: the server has us in legacy mode
	early []byte // what was read of it already
	hub   *hub
	ended chan *CloseError
	every time.Duration // of legacy mode
}

// connect asks for a WebSocket once.
func (c *Client) connect(ctx context.Context) (*attempt, error) {
	var answer *http.Response
	d := ws.Dialer{
		Timeout: c.cfg.DialTimeout, NetDial: c.cfg.NetDial, TLSConfig: c.cfg.TLS, Protocols: c.cfg.Subprotocols, Header: ws.HandshakeHeaderHTTP(c.header()),
		OnStatusError: func(_ int, _ []byte, resp io.Reader) {
			answer, _ = http.ReadResponse(bufio.NewReader(resp), nil) //nolint:bodyclose // what is wrong with it is the error of the handshake; the connection is closed
		},
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	nc, early, _, err := d.Dial(ctx, c.cfg.URL)
	var status ws.StatusError
	switch {
	case errors.As(err, &status):
		return c.refused(int(status), answer)
	case err != nil:
		return nil, err
	}
	h, ended := c.newHub()
	k := newPortable(h, nc)
	k.busy.Store(true) // it is not read before the client has moved to it
	h.add(k)
	return &attempt{c: k, early: leftover(early), hub: h, ended: ended}, nil
}

// refused is the answer of a server that does not upgrade: the legacy mode, or an error.
func (c *Client) refused(status int, answer *http.Response) (*attempt, error) {
	e := &HandshakeError{URL: c.cfg.URL, Status: status}
	if answer == nil {
		return nil, e
	}
	if every, ok := legacyAnswer(answer); ok {
		return &attempt{every: every}, nil
	}
	e.RetryAfter = retryAfter(answer)
	return nil, e
}

// Bounds of the pause between two heartbeats, whatever a server says.
const (
	leastEvery = 10 * time.Millisecond
	mostEvery  = time.Hour
)

// legacyAnswer reports whether an answer is that of the legacy mode, and how often it wants heartbeats.
func legacyAnswer(r *http.Response) (every time.Duration, ok bool) {
	if r.StatusCode != http.StatusOK {
		return 0, false
	}
	text := r.Header.Get(HeaderInterval)
	every, err := time.ParseDuration(text)
	if err != nil {
		if every, err = inSeconds(text); err != nil { // other servers may write the number alone
			return 0, false
		}
	}
	return min(max(every, leastEvery), mostEvery), every > 0
}

// retryAfter is the pause that an answer asks for, in seconds or by a date (RFC 9110, section 10.2.3). 0: it asks for none.
func retryAfter(r *http.Response) time.Duration {
	text := r.Header.Get("Retry-After")
	if pause, err := inSeconds(text); err == nil {
		return pause
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// inSeconds is a number of seconds, none where it is negative, and the longest time there is where it is more.
func inSeconds(text string) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	return time.Duration(min(max(n, 0), int64(math.MaxInt64/time.Second))) * time.Second, err
}

// header is what is sent with each request.
func (c *Client) header() http.Header {
	h := c.cfg.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if c.cfg.Device != "" {
		h.Set(HeaderDevice, c.cfg.Device)
	}
	if c.cfg.Class != "" {
		h.Set(HeaderClass, c.cfg.Class)
	}
	return h
}

// heartbeats is the legacy mode: HEAD over one kept connection, until the server answers otherwise. It gives a WebSocket that was got meanwhile, or
// the reason why all is to begin anew.
func (c *Client) heartbeats(ctx context.Context, every time.Duration) (*attempt, error) {
	hc := &http.Client{Timeout: c.cfg.DialTimeout, Transport: &http.Transport{
		DialContext: c.cfg.NetDial, TLSClientConfig: c.cfg.TLS.Clone(), MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true,
	}}
	defer hc.CloseIdleConnections()
	c.move(Legacy, nil, nil)
	give := func(err error) (*attempt, error) {
		c.counts.lost.Add(1)
		c.move(0, nil, err)
		return nil, err
	}
	beat, probe := time.Now(), time.Now().Add(c.cfg.ProbeEvery)
	for {
		must := false // the server answers no heartbeats any more
		if !time.Now().Before(beat) {
			again, err := c.heartbeat(ctx, hc)
			if err != nil {
				return give(err)
			}
			if again > 0 {
				every = again
			}
			must = again == 0
			beat = time.Now().Add(every)
		}
		if must || c.cfg.ProbeEvery > 0 && !time.Now().Before(probe) {
			at, err := c.connect(ctx)
			switch {
			case err == nil && at.c != nil:
				return at, nil
			case err != nil && must:
				return give(err)
			}
			probe = time.Now().Add(c.cfg.ProbeEvery)
		}
		next := beat
		if c.cfg.ProbeEvery > 0 && probe.Before(next) {
			next = probe
		}
		if !sleep(ctx, time.Until(next)) {
			return give(ctx.Err())
		}
	}
}

// heartbeat sends one. Every is the pause to the next; 0: the answer was not that of the legacy mode.
func (c *Client) heartbeat(ctx context.Context, hc *http.Client) (every time.Duration, err error) {
	u := *c.url
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header = c.header()
	res, err := hc.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		return 0, &HandshakeError{URL: c.cfg.URL, Status: res.StatusCode, RetryAfter: retryAfter(res)}
	}
	every, ok := legacyAnswer(res)
	if !ok {
		return 0, nil
	}
	c.counts.heartbeats.Add(1)
	return every, nil
}

// NewDialer gives a dialer of guarded sockets for WebSockets: both ends speak at any time, so that errors are passed on as they are.
func NewDialer(o guard.Options) *guard.Dialer {
	o.Multiplexed = true
	o.EOFNeverClean, o.AmbiguousDeadlines, o.ImplicitBegin, o.ReadError = false, false, false, nil
	return &guard.Dialer{Options: o}
}
