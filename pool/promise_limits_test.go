package pool_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"herz.example/herz/pool"
)

func TestEachLimitIsAcceptedToItsEdgeAndRefusedBeyond(t *testing.T) {
	s := &fakeServer{}
	p := newPool(t, s, nil)
	for _, c := range []struct {
		field  string // named in the refusal; empty: accepted
		limits pool.Limits
	}{
		{"MaxOpen", pool.Limits{MaxOpen: -1}},
		{"", pool.Limits{MaxOpen: 1}},
		{"", pool.Limits{MaxOpen: 1 << 20}},
		{"MaxOpen", pool.Limits{MaxOpen: 1<<20 + 1}},
		{"MinIdle", pool.Limits{MaxOpen: 2, MinIdle: -1}},
		{"", pool.Limits{MaxOpen: 2, MinIdle: 2}},
		{"MinIdle", pool.Limits{MaxOpen: 2, MinIdle: 3}},
		{"KeepWarm", pool.Limits{MaxOpen: 2, KeepWarm: -1}},
		{"", pool.Limits{MaxOpen: 2, KeepWarm: 2}},
		{"KeepWarm", pool.Limits{MaxOpen: 2, KeepWarm: 3}},
		{"KeepWarmElastic", pool.Limits{KeepWarmElastic: -0.1}},
		{"", pool.Limits{KeepWarmElastic: 1}},
		{"KeepWarmElastic", pool.Limits{KeepWarmElastic: 1.1}},
		{"KeepWarmElastic", pool.Limits{KeepWarmElastic: math.NaN()}},
		{"MaxWaiters", pool.Limits{MaxWaiters: -1}},
		{"MaxDialing", pool.Limits{MaxDialing: -1}},
		{"MaxClosing", pool.Limits{MaxClosing: -1}},
		{"MaxUses", pool.Limits{MaxUses: -1}},
		{"HeartbeatTimeout", pool.Limits{HeartbeatTimeout: -1}},
		{"LeakAfter", pool.Limits{LeakAfter: -1}},
		{"", pool.Limits{MaxLifetime: 2 * time.Second, MaxLifetimeJitter: time.Second}},
		{"MaxLifetimeJitter", pool.Limits{MaxLifetime: time.Second, MaxLifetimeJitter: time.Second}},
		{"", pool.Limits{MaxLifetime: -1, MaxLifetimeJitter: time.Second}},
	} {
		switch err := p.SetLimits(c.limits); {
		case c.field == "" && err != nil:
			t.Errorf("%+v was refused: %v", c.limits, err)
		case c.field != "" && (err == nil || !strings.Contains(err.Error(), c.field+" is ")):
			t.Errorf("%+v gave %v; %s must be refused by name", c.limits, err, c.field)
		}
	}
}

func TestEveryWrongLimitIsNamedAtOnce(t *testing.T) {
	p := newPool(t, &fakeServer{}, nil)
	err := p.SetLimits(pool.Limits{MaxUses: -1, LeakAfter: -1})
	if err == nil || !strings.Contains(err.Error(), "MaxUses") || !strings.Contains(err.Error(), "LeakAfter") {
		t.Errorf("two wrong limits gave %v", err)
	}
}
