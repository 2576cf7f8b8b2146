package guard

import (
	"runtime"
	"sync/atomic"
)

// sight notes whether anybody looked at an error. It outlives the error.
type sight struct{ seen atomic.Bool }

// IfUnseen has f called when the error was thrown away and nobody had looked at it since: it was not printed, not compared with ErrAmbiguous
// (drivers compare it with errors of their own, which tells nothing of the caller), not asked SafeToRetry. A caller who only compares it with nil has
// not looked, and f is called as well. It is known at the garbage collection after the error's end, so that f comes late, on a goroutine of
// the runtime, and must be quick; it must not refer to the error. Call it once, before the error is handed on.
func (e *AmbiguousError) IfUnseen(f func()) {
	s := new(sight)
	e.sight = s
	runtime.AddCleanup(e, func(s *sight) {
		if !s.seen.Load() {
			f()
		}
	}, s)
}

func (e *AmbiguousError) see() {
	if e.sight != nil {
		e.sight.seen.Store(true)
	}
}
