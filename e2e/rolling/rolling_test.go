//go:build linux

package rolling_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzhttp"
)

// balancer is one that stands before the servers, and what they are told of it.
type balancer struct {
	kind      server.Kind
	http2     bool // it speaks HTTP/2 to them
	settings  []string
	repeats   []string // further settings, which let it repeat what is safe; aligned servers have to do without
	alignment herzhttp.Alignment
}

var balancers = []balancer{
	{
		kind: server.HAProxy,
		settings: []string{
			"mode=http", "option=httpchk GET /readyz", "option=redispatch", "retries=3", "timeout=check 1500ms",
			"default-server=check inter 200ms fall 2 rise 1",
		},
		alignment: herzhttp.Alignment{
			HealthInterval: 200 * time.Millisecond, HealthTimeout: 1500 * time.Millisecond, StatusThreshold: 2, UnhealthyThreshold: 2,
			Propagation: 400 * time.Millisecond,
		},
	},
	{
		kind:     server.Nginx,
		settings: []string{"server=max_fails=1 fail_timeout=3s", "proxy_next_upstream=error timeout http_503"},
		alignment: herzhttp.Alignment{
			Notice: herzhttp.ByAnswers, HealthInterval: time.Second, FailTimeout: 3 * time.Second, Propagation: 500 * time.Millisecond,
		},
	},
	{kind: server.Envoy, settings: envoyChecks, repeats: envoyRepeats, alignment: envoyTimes},
	{
		kind: server.Envoy, http2: true, repeats: envoyRepeats, alignment: envoyTimes,
		settings: append([]string{"upstream.explicit_http_config.http2_protocol_options={}"}, envoyChecks...),
	},
}

// Envoy asks as set and adds no jitter. One answer with another status than 200 is enough for it, whatever unhealthy_threshold is, and an interval begins when
// the check before is over. It repeats nothing unless it is told to.
var (
	envoyChecks = []string{
		"health_check.http_health_check.path=/readyz", "health_check.interval=0.2s", "health_check.timeout=1.5s",
		"health_check.no_traffic_interval=0.2s", "health_check.unhealthy_threshold=2", "health_check.healthy_threshold=1",
	}
	envoyRepeats = []string{"route.retry_policy.retry_on=connect-failure,refused-stream", "route.retry_policy.num_retries=3"}
	envoyTimes   = herzhttp.Alignment{
		HealthInterval: 200 * time.Millisecond, HealthTimeout: 1500 * time.Millisecond, UnhealthyThreshold: 2, ChecksInTurn: true,
		NoTrafficInterval: 200 * time.Millisecond, Propagation: 400 * time.Millisecond,
	}
)

func (b balancer) String() string {
	if b.http2 {
		return b.kind.String() + " by HTTP2"
	}
	return b.kind.String()
}

// roll restarts each server, one after the other.
func roll(t *testing.T, f *fleet, l *load) string {
	t.Helper()
	var took string
	for i := range servers {
		took += fmt.Sprintf(" %v", f.stop(i).Round(10*time.Millisecond))
		l.serves(t, f.start(i))
	}
	return took
}

func begin(t *testing.T, b balancer, aligned bool) (*fleet, *load) {
	t.Helper()
	f := startFleet(t, order{Aligned: aligned, Alignment: b.alignment, HTTP2: b.http2})
	settings := b.settings
	if !aligned {
		settings = slices.Concat(settings, b.repeats)
	}
	front := server.Start(t, b.kind, server.Options{To: f.addrs, Settings: settings})
	l := startLoad(t, front.Addr())
	for i := range servers {
		l.serves(t, fmt.Sprintf("%d.%d", i, i+1))
	}
	return f, l
}

func TestAlignedServersAreRestartedWithoutALostRequest(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			for _, f := range b.alignment.Check() {
				t.Errorf("the test's own times do not fit: %v", f)
			}
			f, l := begin(t, b, true)
			took := roll(t, f, l)
			sent := l.end()
			failed := l.failures()
			t.Logf("figures: %v sent during a rolling restart, %d failed; the ends took%s", sent, len(failed), took)
			if len(failed) > 0 {
				t.Errorf("%d requests failed, of them: %s", len(failed), failed[0])
			}
			if n := f.count("the listener closes"); n != servers {
				t.Errorf("%d of %d servers left in order", n, servers)
			}
			if n := f.count("requests came until") + f.count("nobody asked"); n > 0 {
				t.Errorf("%d servers saw that their balancer had not noticed", n)
			}
		})
	}
}

// restartsMost bounds how often servers without herzhttp are restarted until a request is lost.
const restartsMost = 20

func TestWithoutAlignmentARestartLosesRequests(t *testing.T) {
	for _, b := range balancers {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			f, l := begin(t, b, false)
			restarts := 0
			for restarts < restartsMost && len(l.failures()) == 0 {
				i := restarts % servers
				f.stop(i)
				l.serves(t, f.start(i))
				restarts++
			}
			sent := l.end()
			failed := l.failures()
			t.Logf("figures: %v sent during %d restarts without herzhttp, %d failed", sent, restarts, len(failed))
			if len(failed) == 0 {
				t.Errorf("%d restarts lost nothing: the test of aligned servers shows nothing", restarts)
				return
			}
			t.Logf("the first: %q", failed[0])
		})
	}
}
