package herzws

import (
	"testing"
	"time"
	"unsafe"
)

func TestConnectionAtRestTakesNoMoreMemoryThanItsRest(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 192 {
		t.Errorf("a Conn takes %d bytes: the next greater class of the allocator. What only some connections need belongs behind a pointer", size)
	}
	if size := unsafe.Sizeof(portable{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 64 {
		t.Errorf("what the portable engine adds takes %d bytes", size)
	}
}

func TestAnswerToPingAllocatesNothing(t *testing.T) {
	c := &Conn{hub: &hub{born: time.Now(), maxMessage: 1 << 10, counts: new(counters)}}
	pong := []byte{0x8a, 0x80, 1, 2, 3, 4}
	got := testing.AllocsPerRun(1000, func() {
		c.seen.Store(0)
		if c.feed(pong, true) != fedAll || c.seen.Load() == 0 || c.in != nil {
			t.Fatal("the pong was not taken as a whole frame")
		}
	})
	if got > 0.1 { // a collection may empty the sync.Pool meanwhile
		t.Errorf("%v allocations", got)
	}
}
