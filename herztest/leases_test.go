package herztest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"herz.example/herz/herztest"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("herz.example/herz/herztest_test.loseOne.func1")) // it is lost on purpose
}

// probe is a testing.TB that remembers what it was told.
type probe struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (p *probe) Helper()                   {}
func (p *probe) Cleanup(f func())          { p.cleanups = append(p.cleanups, f) }
func (p *probe) Errorf(f string, a ...any) { p.errors = append(p.errors, fmt.Sprintf(f, a...)) }

func newPool(t *testing.T) *pool.Pool[*int] {
	t.Helper()
	p, err := pool.New(pool.Config[*int]{Name: "orders", Dial: func(context.Context) (*int, error) { return new(int), nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestLeaseThatIsStillOutFailsTheTestAndNamesItsPlace(t *testing.T) {
	p := newPool(t)
	inner := &probe{TB: t}
	herztest.VerifyNoLeases(inner, p)
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range inner.cleanups {
		f()
	}
	if len(inner.errors) != 1 || !strings.Contains(inner.errors[0], `"orders"`) || !strings.Contains(inner.errors[0], "TestLeaseThatIsStillOut") {
		t.Errorf("a lease is out and the test was told %q", inner.errors)
	}
	l.Release()
}

func TestReturnedLeasesAreNoFault(t *testing.T) {
	p := newPool(t)
	inner := &probe{TB: t}
	herztest.VerifyNoLeases(inner, p)
	for range 3 {
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	for _, f := range inner.cleanups {
		f()
	}
	if len(inner.errors) != 0 {
		t.Errorf("all leases were returned and the test was told %q", inner.errors)
	}
}
