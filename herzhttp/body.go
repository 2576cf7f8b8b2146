package herzhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// loan is a connection that carries one request.
type loan struct {
	of     *Transport
	link   *link
	lease  pool.Lease[*link]
	ctx    context.Context //nolint:containedctx // that of the request, which lasts as long as the body of its answer
	closes bool            // the connection ends with this answer
}

// body is the body of an answer. Its end is the end of the loan.
type body struct {
	io.ReadCloser
	loan
	over atomic.Bool
}

// answered ties the loan to the body of the answer.
func (r *request) answered(lease pool.Lease[*link], resp *http.Response) *http.Response {
	l := loan{of: r.of, link: r.link, lease: lease, ctx: r.req.Context(), closes: resp.Close || r.req.Close}
	if reflect.TypeOf(resp.Body).Size() == 0 { // over HTTP/2 it is not http.NoBody, and has no content either
		l.end(io.EOF)
		return resp
	}
	b := &body{ReadCloser: resp.Body, loan: l}
	if w, ok := resp.Body.(io.Writer); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &upgraded{Writer: w, body: b}
		return resp
	}
	resp.Body = b
	return resp
}

// Read reads on.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(err)
	}
	return n, err
}

// Close ends the loan. Over HTTP/1 a little rest is read before.
func (b *body) Close() error {
	if !b.over.Load() && b.drain() {
		b.end(io.EOF)
	}
	err := b.ReadCloser.Close()
	b.end(errAbandoned)
	return err
}

// drain reads the rest, if there is little, and reports whether that was the end. What ends the reading in time ends the connection too: once the body is
// at its end net/http reads on for the next answer, and a deadline that was set before could fail that.
func (b *body) drain() bool {
	l := b.link
	if l.http2 || b.of.cfg.DrainBytes < 0 || b.closes || l.guard == nil {
		return false // over HTTP/2 the stream is reset, and the connection stays
	}
	late := time.AfterFunc(b.of.cfg.DrainTime, func() {
		if l.guard.SetReadDeadline(longAgo) != nil {
			_ = l.cc.Close() // what the dialler gave knows no deadlines
		}
	})
	n, err := io.Copy(io.Discard, io.LimitReader(b.ReadCloser, b.of.cfg.DrainBytes+1))
	return late.Stop() && err == nil && n <= b.of.cfg.DrainBytes
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// end returns the connection, once.
func (b *body) end(err error) {
	if !b.over.Swap(true) {
		b.loan.end(err)
	}
}

// end returns the connection after an answer that ended with err.
func (b *loan) end(err error) {
	l := b.link
	l.leave()
	switch whole := err == io.EOF; { //nolint:errorlint // as net/http gives it
	case l.http2 && whole, l.http2 && errors.Is(err, errAbandoned) && b.ctx.Err() == nil, whole && !b.closes && l.cc.Available() > 0:
		b.lease.Release()
	case whole:
		b.lease.Discard(errLastUse)
	default:
		l.end(b.ctx, b.lease, 0, err)
	}
	b.of.rested()
}

// rested sees to it that not too many connections rest.
func (t *Transport) rested() {
	if t.tooMany() {
		t.trim()
	}
}

// upgraded is the body of a 101 answer: the connection itself, which belongs to the caller until he closes it.
type upgraded struct {
	io.Writer
	body *body
}

// Read reads from the connection. The peer's end is io.EOF: nobody knows here what is a request and what an answer.
func (u *upgraded) Read(p []byte) (int, error) {
	n, err := u.body.ReadCloser.Read(p)
	if lost, ok := errors.AsType[*guard.AmbiguousError](err); ok && lost.Cause == conn.PeerFIN {
		err = io.EOF
	}
	return n, err
}

// CloseWrite ends the direction to the peer, as net/http's own body of such an answer can. http.ErrNotSupported: the connection cannot.
func (u *upgraded) CloseWrite() error {
	if c, ok := u.body.ReadCloser.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return fmt.Errorf("herz/herzhttp: CloseWrite: %w", http.ErrNotSupported)
}

// Close ends the connection.
func (u *upgraded) Close() error {
	err := u.body.ReadCloser.Close()
	u.body.end(errUpgraded)
	return err
}
