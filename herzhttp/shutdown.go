package herzhttp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Shutdown lets the server leave, in this order:
//
//  1. the health check answers 503, and the answer to each request that comes says Connection: close, while the server accepts and serves as before. HTTP/2
//     gets a GOAWAY in its place, after Alignment.Detection, and with ByWithdrawal in the last third of the delay, 1 s at most;
//  2. after Alignment.DrainDelay, by when no balancer sends anything, the listener closes, then idle connections, and requests in flight may end;
//  3. the pools drain, side by side, and what they have still lent is logged;
//  4. what is left is closed.
//
// It ends within Alignment.Grace − PreStop − 1 s, or when ctx ends, if that is sooner. Each step is bounded by a part of it: what is not over then is cut, and
// named in the error. Shutdown may be called by several: the first lets the server leave, the others wait for that, or for the end of their ctx.
func (s *Server) Shutdown(ctx context.Context) error { return s.shutdown(ctx, true) }

func (s *Server) shutdown(ctx context.Context, delay bool) error {
	if s.leaving.CompareAndSwap(false, true) {
		s.result = s.leave(ctx, delay)
		close(s.ended)
		return s.result
	}
	select {
	case <-s.ended:
		return s.result
	case <-ctx.Done():
		return fmt.Errorf("herz/herzhttp: shutdown: it is under way: %w", ctx.Err())
	}
}

// leave is Shutdown, once. The health check fails already.
func (s *Server) leave(ctx context.Context, delay bool) error {
	began, most := time.Now(), time.Duration(math.MaxInt64)
	if deadline, ok := ctx.Deadline(); ok {
		most = max(time.Until(deadline), 0)
	}
	b := s.cfg.Alignment.budget(most)
	if !delay {
		b.delay = 0
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(b.all))
	defer cancel()
	defer context.AfterFunc(s.hard, cancel)()

	close(s.draining)
	s.log.Info("herz: draining: the health check fails from now on", "listener_closes_in", b.delay, "budget", b.all, "in_flight", s.inFlight.Load())
	if short := s.cfg.Alignment.needed() - b.delay; delay && short > 0 {
		s.log.Warn("herz: the listener closes before the balancer has noticed", "too_early", short, "budget", b.all)
	}
	unnoticed := s.cfg.Alignment.unnoticed(b.delay)
	s.pause(ctx, unnoticed)
	s.noticed.Store(true)
	s.pause(ctx, b.delay-unnoticed)
	if delay {
		s.doubt(b.delay - unnoticed)
	}
	errs := []error{s.closeConns(ctx, began.Add(b.all-b.pools))}
	if _, err := DrainPools(ctx, s.log, s.cfg.Borrowers, s.cfg.Pools...); err != nil {
		errs = append(errs, err)
	}
	if s.hard.Err() != nil {
		errs = append(errs, ErrCut)
	}
	err := errors.Join(errs...)
	s.log.Info("herz: drained", "took", time.Since(began).Round(time.Millisecond), "complete", err == nil)
	return err
}

// doubt says, when the listener is about to close, what speaks against that the balancer has noticed. It must have noticed for as long as noticed.
func (s *Server) doubt(noticed time.Duration) {
	a := s.cfg.Alignment
	// Who has HTTP/2 connections of before, which no health check ends, is told to leave at the beginning of noticed: a third of it is for that.
	if came := s.came.Load(); came != nil && time.Since(*came) < min(noticed, a.Propagation)/3*2 {
		s.log.Warn("herz: requests came until the listener closed: whoever sends them has not noticed that this server leaves, and will meet nobody",
			"newest", time.Since(*came).Round(time.Millisecond), "change", "Alignment.DrainDelay, or the balancer's health check")
	}
	if !s.checked.Load() && a.Notice == ByStatus && a.DrainDelay > 0 {
		s.log.Warn("herz: nobody asked the health check while it failed: the balancer asks another path, or at longer intervals than Alignment says",
			"path", s.cfg.HealthPath, "delay", a.DrainDelay)
	}
}

// pause waits for d, or for the end of ctx.
func (s *Server) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// closeConns closes the listener and idle connections, waits for the requests in flight until end, and cuts the others.
func (s *Server) closeConns(ctx context.Context, end time.Time) error {
	began := time.Now()
	s.log.Info("herz: the listener closes", "in_flight", s.inFlight.Load())
	bounded, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	err := s.http.Shutdown(bounded)
	if err == nil {
		return nil
	}
	left := s.inFlight.Load()
	_ = s.http.Close() // of connections that are cut
	waited := time.Since(began).Round(time.Millisecond)
	if left == 0 { // connections without a request: new ones, on which net/http waits five seconds for the first
		return nil
	}
	s.log.Warn("herz: requests are cut", "in_flight", left, "waited", waited)
	return fmt.Errorf("herz/herzhttp: shutdown: %d requests had not ended %v after the listener closed, and were cut: %w", left, waited, err)
}

// Close ends the server at once: requests are cut, and pools are closed without waiting for their users. A Shutdown that is under way ends, with [ErrCut].
func (s *Server) Close() error {
	s.cut(ErrCut)
	_ = s.http.Close()            // of connections that are cut
	_ = s.shutdown(s.hard, false) // who serves is told that everything was cut
	<-s.ended
	return nil
}

// Run runs the server until ctx ends or one of the signals comes, by default os.Interrupt and SIGTERM, and lets it leave then. A second signal ends it at
// once, with [ErrCut]. It listens to signals for as long as it runs only.
func Run(ctx context.Context, s *Server, signals ...os.Signal) error {
	if len(signals) == 0 {
		signals = []os.Signal{os.Interrupt, syscall.SIGTERM}
	}
	heard := make(chan os.Signal, 2)
	signal.Notify(heard, signals...)
	defer signal.Stop(heard)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for told := false; ; {
		select {
		case err := <-done:
			return err
		case sig := <-heard:
			if !told {
				told = true
				s.log.Info("herz: told to end", "signal", sig.String())
				cancel()
				continue
			}
			s.log.Warn("herz: told to end a second time: everything is cut", "signal", sig.String())
			_ = s.Close() // s.Run says what came of it
		}
	}
}
