package herzsql

import (
	"fmt"
	"testing"

	"herz.example/herz/conn"
)

func TestPlacesOfShortResultsAreBoundedAndTheQuietOneIsForgotten(t *testing.T) {
	c := &cuts{pool: "orders"}
	for i := range 40 {
		c.unseen(fmt.Sprint("place ", i), conn.Death{ID: uint64(i)})
		c.unseen("the busy place", conn.Death{ID: uint64(i)})
	}
	got := c.list()
	if len(got) != sitesKept {
		t.Fatalf("%d places, not %d", len(got), sitesKept)
	}
	if got[0].Site != "the busy place" || got[0].Count != 40 || got[0].Death.ID != 39 {
		t.Errorf("the newest is %+v", got[0])
	}
	if last := got[sitesKept-1]; last.Site != "place 9" || last.Count != 1 {
		t.Errorf("the oldest that is kept is %+v", last)
	}
}
