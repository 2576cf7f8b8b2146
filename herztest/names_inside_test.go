package herztest

import (
	"context"
	"testing"
	"time"
)

// A resolver does not look at the end of its context while it waits for an answer.
func TestQuestionThatTheServerTookToItsEndIsGivenUpAtOnce(t *testing.T) {
	s := NewNameServer(t)
	over := make(chan struct{})
	s.mu.Lock() // so that it answers nothing
	go func() {
		defer close(over)
		_, _ = s.Resolver().LookupHost(context.Background(), "db.test")
	}()
	limit := time.Now().Add(10 * time.Second)
	for asked := false; !asked; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the resolver does not ask")
		}
		s.socks.Lock()
		asked = len(s.open) > 0
		s.socks.Unlock()
	}
	_ = s.conn.Close()
	s.mu.Unlock()
	began := time.Now()
	s.end()
	<-over
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a question that was never answered kept its asker for %v", took)
	}
}
