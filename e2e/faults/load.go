//go:build linux

package main

import (
	"context"
	"sync"
	"time"
)

const (
	connections = 6                       // each client keeps so many
	idle        = 1200 * time.Millisecond // longer than the second after which a connection is pinged before it is lent
	watched     = 15 * time.Second        // a call that has not ended by then hangs
	mercy       = time.Second             // after the end of its context
	work        = 50 * time.Millisecond   // of the server on a slow write
)

// op is one call and its outcome.
type op struct {
	write        bool
	flight       bool // it was on the server when the server froze
	id           int  // of the row that was written
	value        int  // that was read
	begun, ended time.Time
	err          error
	hung         bool // it did not end while it was watched
}

// watch bounds what calls are waited for. Their context has no deadline that a driver could see: most callers give none.
type watch struct {
	context func() context.Context
	over    chan struct{} // closed when nobody waits any more
	end     func()
}

func newWatch(ctx context.Context, most time.Duration) *watch {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	first, last := time.AfterFunc(most, cancel), time.AfterFunc(most+mercy, func() { close(over) })
	return &watch{context: func() context.Context { return ctx }, over: over, end: func() {
		first.Stop()
		last.Stop()
		cancel()
	}}
}

// call runs one call to its end, or to that of the watch.
func (s *subject) call(w *watch, o op, f func(ctx context.Context, o *op) error) op {
	type outcome struct {
		op
		err error
	}
	o.begun = time.Now()
	done := make(chan outcome, 1)
	go func() {
		mine := o
		err := f(w.context(), &mine)
		done <- outcome{mine, err}
	}()
	select {
	case out := <-done:
		o = out.op
		o.err, o.hung = out.err, w.context().Err() != nil && out.err != nil
	case <-w.over:
		o.hung = true
	}
	o.ended = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, o)
	return o
}

// write adds one row, on which the server works for so long.
func (s *subject) write(w *watch, slow time.Duration) op {
	return s.call(w, op{write: true, id: int(s.last.Add(1))}, s.writing(slow))
}

func (s *subject) writing(slow time.Duration) func(ctx context.Context, o *op) error {
	return func(ctx context.Context, o *op) error { return s.client.write(ctx, o.id, slow) }
}

// read asks which server answers.
func (s *subject) read(w *watch) op {
	return s.call(w, op{}, func(ctx context.Context, o *op) (err error) {
		o.value, err = s.client.mark(ctx)
		return err
	})
}

// burst uses all connections at once, and then again one call after the other.
func (s *subject) burst(ctx context.Context) {
	w := newWatch(ctx, watched)
	defer w.end()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			if o := s.write(w, 0); !o.hung {
				s.read(w)
			}
		})
	}
	wg.Wait()
	for range connections {
		if o := s.write(w, 0); o.hung {
			return
		}
	}
}

// loop is steady load until it is stopped.
type loop struct {
	stop chan struct{}
	wg   sync.WaitGroup
	w    *watch
}

// start lets n workers make calls with pauses between them, for at most the given time.
func (s *subject) start(ctx context.Context, n int, most, pause time.Duration, calls ...func(w *watch) op) *loop {
	l := &loop{stop: make(chan struct{}), w: newWatch(ctx, most)}
	for range n {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				if o := calls[i%len(calls)](l.w); o.hung {
					return
				}
				rest := time.NewTimer(pause)
				select {
				case <-l.stop:
					rest.Stop()
					return
				case <-rest.C:
				}
			}
		})
	}
	return l
}

// halt ends the load, and waits for calls that are still under way as long as they are watched.
func (l *loop) halt() {
	close(l.stop)
	l.wg.Wait()
	l.w.end()
}
