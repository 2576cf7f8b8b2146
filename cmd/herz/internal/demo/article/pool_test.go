package article_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo/article"
	"herz.example/herz/cmd/herz/internal/demo/proxy"
	"herz.example/herz/cmd/herz/internal/demo/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) (*article.Pool, *proxy.Proxy) {
	t.Helper()
	r, err := server.StartRedis(map[string]string{"a": "value of a", "b": "value of b"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	p, err := proxy.Listen(t.Context(), r.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	a, err := article.Open(t.Context(), p.Addr(), (&net.Dialer{}).DialContext)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, p
}

func get(t *testing.T, a *article.Pool, key string) string {
	t.Helper()
	v, err := a.Do(t.Context(), "GET", key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestItWorksWhileNothingHappens(t *testing.T) {
	a, _ := open(t)
	for range 3 * article.Size {
		if v := get(t, a, "a"); v != "value of a" {
			t.Fatalf("got %q", v)
		}
		if v, err := a.Do(t.Context(), "GET", "absent"); v != "" || err != nil {
			t.Fatalf("got %q, %v", v, err)
		}
	}
	if a.Stale() != 0 || a.Active() != article.Size {
		t.Fatalf("stale %d, active %d", a.Stale(), a.Active())
	}
}

// The mistake that the demo is about: after an answer that came too late, every answer is that of the request before.
func TestALateAnswerPutsTheNextOnesOutOfStep(t *testing.T) {
	a, p := open(t)
	p.Freeze()
	thaw := time.AfterFunc(article.HeartbeatTimeout+600*time.Millisecond, p.Thaw) // later than the beat that begins last
	defer thaw.Stop()
	for limit := time.Now().Add(10 * time.Second); a.Stale() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("no heartbeat failed")
		}
	}
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if v := get(t, a, "a"); v != "" && v != "value of a" {
			if a.Active() != article.Size {
				t.Errorf("the gauge shows %d active", a.Active()) // it shows all, whatever happens
			}
			return // another's answer
		}
	}
	t.Fatal("every answer was the right one")
}

func TestAFailureToReadIsAnEmptyAnswerAndTheConnectionGoesBack(t *testing.T) {
	a, p := open(t)
	p.LoseAnswers(1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range article.Size {
		if v, err := a.Do(ctx, "GET", "a"); v != "" || err != nil {
			t.Fatalf("got %q, %v; the article's pool says nothing", v, err)
		}
	}
}
