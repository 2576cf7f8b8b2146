package registry

// EndHalfway does the first half of Delete: it stops where another goroutine can come in between.
func EndHalfway[K comparable, V any](e *Entry[K, V]) { e.value.Store(nil) }

// Finish does the second half.
func Finish[K comparable, V any](e *Entry[K, V]) { e.remove() }
