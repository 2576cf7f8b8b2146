package herzsql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"time"

	"herz.example/herz/conn"
)

// lateGrace is how long a call of a driver that is EndsLate may go on after the end of its context: time for the driver's own cancel
// request, and for the server's answer to that.
const lateGrace = 250 * time.Millisecond

// limit ends the socket under a call that goes on after the end of its context. The nil limit, that of most drivers, does nothing.
type limit struct {
	over  chan struct{} // closed when the call has returned
	stop  func() bool
	ended func() error // of the context
}

func (w *wrapped) limit(ctx context.Context) *limit {
	if !w.facts.EndsLate || w.g == nil || ctx.Done() == nil {
		return nil
	}
	l := &limit{over: make(chan struct{}), ended: ctx.Err}
	g := w.g
	l.stop = context.AfterFunc(ctx, func() {
		t := time.NewTimer(lateGrace)
		defer t.Stop()
		select {
		case <-l.over:
		case <-t.C:
			g.Abort(conn.Timeout)
		}
	})
	return l
}

// done ends the limit of a call that returned err, and tells it.
func (l *limit) done(err error) error {
	if l == nil {
		return err
	}
	l.stop()
	close(l.over)
	return l.tell(err)
}

// past reports whether the context has ended.
func (l *limit) past() bool { return l != nil && l.ended() != nil }

// tell adds the end of the context to an error that came after it: the driver says only how the call ended.
func (l *limit) tell(err error) error {
	if l == nil || err == nil || err == driver.ErrSkip || err == io.EOF { //nolint:errorlint // database/sql compares them as they are
		return err
	}
	if end := l.ended(); end != nil && !errors.Is(err, end) {
		return &late{end: end, err: err}
	}
	return err
}

// late is the error of a call that ended after its context. It is the context's error and the driver's.
type late struct{ end, err error }

func (e *late) Error() string { return e.end.Error() + ": " + e.err.Error() }

// Unwrap gives both errors.
func (e *late) Unwrap() []error { return []error{e.end, e.err} }
