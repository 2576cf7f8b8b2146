//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stage stands in for a test where there is none: faultlab's rooms want one, to fail and to clean up after them.
type stage struct {
	testing.TB // nil, so that what is not here panics

	name    string
	log     io.Writer
	context func() context.Context

	// mu guards what follows. Nothing is called under it.
	mu       sync.Mutex
	failed   []string
	cleanups []func()
}

// act runs f on a stage and cleans up, also after a failure, which is the error.
func act(ctx context.Context, name string, log io.Writer, f func(t testing.TB)) error {
	own, cancel := context.WithCancel(ctx)
	s := &stage{name: name, log: log, context: func() context.Context { return own }}
	done := make(chan struct{})
	go func() { // FailNow ends a goroutine
		defer close(done)
		defer s.cleanUp(cancel)
		f(s)
	}()
	<-done
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failed) > 0 {
		return errors.New(strings.Join(s.failed, "; "))
	}
	return nil
}

func (s *stage) cleanUp(cancel func()) {
	cancel()
	for {
		s.mu.Lock()
		n := len(s.cleanups)
		if n == 0 {
			s.mu.Unlock()
			return
		}
		f := s.cleanups[n-1]
		s.cleanups = slices.Delete(s.cleanups, n-1, n)
		s.mu.Unlock()
		f()
	}
}

func (s *stage) Name() string             { return s.name }
func (s *stage) Helper()                  {}
func (s *stage) Context() context.Context { return s.context() }

func (s *stage) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}

func (s *stage) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failed) > 0
}

func (s *stage) Error(args ...any)                 { s.fail(strings.TrimSpace(fmt.Sprintln(args...))) }
func (s *stage) Errorf(format string, args ...any) { s.fail(fmt.Sprintf(format, args...)) }
func (s *stage) Fatal(args ...any)                 { s.Error(args...); s.FailNow() }
func (s *stage) Fatalf(format string, args ...any) { s.Errorf(format, args...); s.FailNow() }
func (s *stage) Log(args ...any)                   { fmt.Fprintln(s.log, append([]any{s.name + ":"}, args...)...) }
func (s *stage) Logf(format string, args ...any)   { s.Log(fmt.Sprintf(format, args...)) }
func (s *stage) FailNow()                          { runtime.Goexit() }

func (s *stage) fail(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, why)
}
