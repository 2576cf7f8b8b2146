package herzhttp_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"herz.example/herz/herzhttp"
)

const second = time.Second

// envoy are Envoy's checks as the article sets them: every 15 s, time-out 5 s.
var envoy = herzhttp.Alignment{HealthInterval: 15 * second, HealthTimeout: 5 * second, UnhealthyThreshold: 3, LongestRequest: 3 * second, PoolDrain: 2 * second}

func with(a herzhttp.Alignment, change func(*herzhttp.Alignment)) herzhttp.Alignment {
	change(&a)
	return a
}

func TestDetectionIsWhatTheBalancersSettingsMakeIt(t *testing.T) {
	for _, c := range []struct {
		name            string
		a               herzhttp.Alignment
		status, silence time.Duration
	}{
		{"defaults: 5 s, 2 s, threshold 3", herzhttp.Alignment{}, 7 * second, 17 * second},
		{"the article's 15 s, 5 s", envoy, 20 * second, 50 * second},
		{"with threshold 1", with(envoy, func(a *herzhttp.Alignment) { a.UnhealthyThreshold = 1 }), 20 * second, 20 * second},
		{"with a jitter of 1 s, once for each interval", with(envoy, func(a *herzhttp.Alignment) { a.HealthJitter = second }), 21 * second, 53 * second},
		{"checks one after the other", with(envoy, func(a *herzhttp.Alignment) { a.ChecksInTurn = true }), 20 * second, 60 * second},
		{
			"HAProxy, which counts a status like a silence: inter 2s fall 3",
			herzhttp.Alignment{HealthInterval: 2 * second, HealthTimeout: 2 * second, StatusThreshold: 3, UnhealthyThreshold: 3},
			8 * second, 8 * second,
		},
		{"the article's 45 s", herzhttp.Alignment{HealthInterval: 45 * second, HealthTimeout: 5 * second}, 50 * second, 140 * second},
		{"no time-out", herzhttp.Alignment{HealthTimeout: -1}, 5 * second, 15 * second},
	} {
		if got := c.a.DetectionOnStatus(); got != c.status {
			t.Errorf("%s: a status is noticed in %v, want %v", c.name, got, c.status)
		}
		if got := c.a.DetectionOnSilence(); got != c.silence {
			t.Errorf("%s: silence is noticed in %v, want %v", c.name, got, c.silence)
		}
	}
}

func TestDelayLastsUntilTheLastRequestThatTheBalancerSends(t *testing.T) {
	for _, c := range []struct {
		name string
		a    herzhttp.Alignment
		want time.Duration
	}{
		{"status", envoy, 21 * second},
		{"silence", with(envoy, func(a *herzhttp.Alignment) { a.Notice = herzhttp.BySilence }), 51 * second},
		{"answers: the next GET", herzhttp.Alignment{Notice: herzhttp.ByAnswers, HealthInterval: 3 * second}, 4 * second},
		{"withdrawal", herzhttp.Alignment{Notice: herzhttp.ByWithdrawal, Propagation: 8 * second}, 8 * second},
		{"withdrawal, of which preStop has waited for a part", herzhttp.Alignment{Notice: herzhttp.ByWithdrawal, Propagation: 8 * second, PreStop: 5 * second}, 3 * second},
		{"withdrawal, of which preStop has waited for all", herzhttp.Alignment{Notice: herzhttp.ByWithdrawal, PreStop: 5 * second}, 0},
		{"status, to which preStop is of no use", with(envoy, func(a *herzhttp.Alignment) { a.PreStop = 5 * second }), 21 * second},
	} {
		if got := c.a.NeededDelay(); got != c.want {
			t.Errorf("%s: needed %v, want %v", c.name, got, c.want)
		}
		if got := c.a.Resolved().DrainDelay; got != c.want {
			t.Errorf("%s: in force %v, want %v", c.name, got, c.want)
		}
	}
}

// A Server gives its times with every default in its place, and whoever asks those asks the same server.
func TestTimesThatWereResolvedSayWhatTheySaidBefore(t *testing.T) {
	for _, a := range []herzhttp.Alignment{
		{},
		{DrainDelay: -1},
		{HealthTimeout: -1},
		{Propagation: -1, LongestRequest: -1, PoolDrain: -1, HealthJitter: -1},
		{Notice: herzhttp.BySilence, ChecksInTurn: true, HealthTimeout: -1, Grace: 20 * second},
		{Notice: herzhttp.ByAnswers, HealthInterval: -1},
		{Notice: herzhttp.ByWithdrawal, PreStop: 5 * second},
	} {
		r := a.Resolved()
		if again := r.Resolved(); again != r {
			t.Errorf("%+v: resolved twice it is %+v, and once %+v", a, again, r)
		}
		if r.NeededDelay() != a.NeededDelay() || r.Detection() != a.Detection() ||
			r.DetectionOnStatus() != a.DetectionOnStatus() || r.DetectionOnSilence() != a.DetectionOnSilence() {
			t.Errorf("%+v: needed %v, and resolved %v; noticed in %v, and resolved in %v", a, a.NeededDelay(), r.NeededDelay(), a.Detection(), r.Detection())
		}
		if before, after := fmt.Sprint(a.Check()), fmt.Sprint(r.Check()); before != after {
			t.Errorf("%+v: found %v, and of what was resolved %v", a, before, after)
		}
	}
	if need := (herzhttp.Alignment{HealthTimeout: -1}).NeededDelay(); need != 6*second {
		t.Errorf("without a time-out, 5 s and 1 s are %v", need)
	}
	log := &lines{}
	if _, err := herzhttp.NewServer(nil, herzhttp.ServerConfig{Alignment: herzhttp.Alignment{DrainDelay: -1}, Logger: slogTo(log)}); err != nil ||
		len(log.with("level=WARN", "change=DrainDelay", "set DrainDelay ≥ 8s")) != 1 {
		t.Errorf("a server without a delay says nothing of it: %v, %v", log.with(), err)
	}
}

func TestServerOutlastsABalancerThatClosesNoIdleConnection(t *testing.T) {
	const day = 24 * time.Hour
	for _, never := range []time.Duration{-1, math.MaxInt64} {
		hs := &http.Server{}
		s, err := herzhttp.NewServer(hs, herzhttp.ServerConfig{Alignment: herzhttp.Alignment{BalancerIdle: never}, Logger: slogTo(&lines{})})
		if err != nil {
			t.Fatal(err)
		}
		if found := s.Alignment().Check(); hs.IdleTimeout < 365*day || hs.ReadHeaderTimeout < 365*day || len(found) > 0 {
			t.Errorf("BalancerIdle %d: the server closes idle connections after %v, those without a request after %v: %v", never, hs.IdleTimeout, hs.ReadHeaderTimeout, found)
		}
		if found := (herzhttp.Alignment{BalancerIdle: never, ServerIdle: never}).Check(); len(found) > 0 {
			t.Errorf("BalancerIdle and ServerIdle %d: %v", never, found)
		}
		if found := (herzhttp.Alignment{ServerIdle: never}).Check(); len(found) > 0 {
			t.Errorf("ServerIdle %d: %v", never, found)
		}
		if found := (herzhttp.Alignment{BalancerIdle: never, ServerIdle: 65 * second}).Check(); len(found) != 1 || found[0].Severity != herzhttp.Failing {
			t.Errorf("BalancerIdle %d, and the server closes after 65 s: %v", never, found)
		}
	}
}

func TestUnknownNoticeIsCheckedWithoutAPanic(t *testing.T) {
	if found := (herzhttp.Alignment{Notice: 9, Grace: second}).Check(); len(found) == 0 {
		t.Error("a grace of 1 s fits")
	}
}

func TestCheckNamesWhatDoesNotFitAndByHowMuch(t *testing.T) {
	for _, c := range []struct {
		name string
		a    herzhttp.Alignment
		want []string // severity, field, now, want of each
		says []string // words of the first
	}{
		{"the defaults fit", herzhttp.Alignment{}, nil, nil},
		{
			// The article's cure fits where the server answers its checks with an error, and not when it is silent.
			"15 s and 5 s in 30 s, by status", envoy,
			[]string{"warning UnhealthyThreshold 50s 30s"},
			[]string{"killed or freezes", "for 50s, longer than the grace of 30s", "noticed in 20s"},
		},
		{
			"15 s and 5 s in 30 s, by silence", with(envoy, func(a *herzhttp.Alignment) { a.Notice = herzhttp.BySilence }),
			[]string{"failing Grace 30s 57s"},
			[]string{"killed while the balancer still sends", "drain delay 51s", "Grace ≥ 57s", "HealthInterval ≤ 6s"},
		},
		{
			"15 s and 5 s in 30 s, by silence with threshold 1",
			with(envoy, func(a *herzhttp.Alignment) { a.Notice, a.UnhealthyThreshold = herzhttp.BySilence, 1 }), nil, nil,
		},
		{
			"the article's 45 s in 30 s",
			herzhttp.Alignment{HealthInterval: 45 * second, HealthTimeout: 5 * second, UnhealthyThreshold: 1},
			[]string{"failing Grace 30s 1m7s", "warning UnhealthyThreshold 50s 30s"},
			[]string{"drain delay 51s", "HealthInterval ≤ 8s"},
		},
		{
			"requests are too long",
			herzhttp.Alignment{LongestRequest: 20 * second},
			[]string{"failing Grace 30s 34s"},
			[]string{"cut", "longest request 20s", "= 34s > grace 30s", "set Grace ≥ 34s, or HealthInterval ≤ 1s"},
		},
		{
			"requests are longer than all",
			herzhttp.Alignment{LongestRequest: time.Minute},
			[]string{"failing Grace 30s 1m14s"},
			[]string{"set Grace ≥ 1m14s, or shorten what is before it"},
		},
		{"preStop takes its part", herzhttp.Alignment{PreStop: 10 * second}, []string{"failing Grace 30s 34s"}, []string{"preStop 10s"}},
		{
			"the delay is too short",
			herzhttp.Alignment{DrainDelay: 5 * second},
			[]string{"failing DrainDelay 5s 8s"},
			[]string{"detection by status 7s, propagation 1s", "set DrainDelay ≥ 8s"},
		},
		{"there is no delay", herzhttp.Alignment{DrainDelay: -1}, []string{"failing DrainDelay 0s 8s"}, nil},
		{
			"the server closes first",
			herzhttp.Alignment{ServerIdle: 60 * second},
			[]string{"failing ServerIdle 1m0s 1m5s"},
			[]string{"after 1m0s, the balancer after 1m0s", "502", "set ServerIdle ≥ 1m5s"},
		},
		{"the server closes hardly later", herzhttp.Alignment{ServerIdle: 61 * second}, []string{"warning ServerIdle 1m1s 1m5s"}, nil},
		{
			"an ALB before Go clients",
			herzhttp.Alignment{ClientIdle: 90 * second},
			[]string{"failing ClientIdle 1m30s 55s"},
			[]string{"clients keep idle connections for 1m30s, the balancer for 1m0s", "≤ 55s"},
		},
		{"clients that close hardly earlier", herzhttp.Alignment{ClientIdle: 58 * second}, []string{"warning ClientIdle 58s 55s"}, nil},
		{
			"nginx comes back before the listener closes",
			herzhttp.Alignment{Notice: herzhttp.ByAnswers, HealthInterval: 11 * second},
			[]string{"failing DrainDelay 12s 10s"},
			[]string{"FailTimeout ≥ 12s"},
		},
		{
			"Envoy before its first request",
			herzhttp.Alignment{NoTrafficInterval: 60 * second},
			[]string{"warning NoTrafficInterval 1m0s 5s"},
			[]string{"before a balancer's first request"},
		},
	} {
		got := c.a.Check()
		var short []string
		for _, f := range got {
			short = append(short, fmt.Sprintf("%v %s %v %v", f.Severity, f.Field, f.Now, f.Want))
		}
		if !slices.Equal(short, c.want) {
			t.Errorf("%s: found %v, want %v", c.name, got, c.want)
			continue
		}
		for _, words := range c.says {
			if !strings.Contains(got[0].Text, words) {
				t.Errorf("%s: %q does not say %q", c.name, got[0].Text, words)
			}
		}
	}
}

// TestWhatIsProposedFits sets what findings want, and looks that they are gone.
func TestWhatIsProposedFits(t *testing.T) {
	set := map[string]func(*herzhttp.Alignment, time.Duration){
		"Grace":             func(a *herzhttp.Alignment, d time.Duration) { a.Grace = d },
		"ServerIdle":        func(a *herzhttp.Alignment, d time.Duration) { a.ServerIdle = d },
		"ClientIdle":        func(a *herzhttp.Alignment, d time.Duration) { a.ClientIdle = d },
		"DrainDelay":        func(a *herzhttp.Alignment, d time.Duration) { a.DrainDelay = d },
		"NoTrafficInterval": func(a *herzhttp.Alignment, d time.Duration) { a.NoTrafficInterval = d },
	}
	for _, a := range []herzhttp.Alignment{
		{PreStop: 10 * second, ClientIdle: 90 * second, ServerIdle: 30 * second, DrainDelay: second, NoTrafficInterval: 60 * second},
		{Notice: herzhttp.BySilence, HealthInterval: 45 * second, ChecksInTurn: true, HealthJitter: second},
		{BalancerIdle: 4 * second, ClientIdle: 4 * second, Grace: second},
		{Notice: herzhttp.ByWithdrawal, Propagation: time.Minute},
	} {
		for range 3 {
			for _, f := range a.Check() {
				if change := set[f.Field]; change != nil {
					change(&a, f.Want)
				}
			}
		}
		if left := slices.DeleteFunc(a.Check(), func(f herzhttp.Finding) bool { return f.Severity != herzhttp.Failing }); len(left) > 0 {
			t.Errorf("after what was proposed there are still %v", left)
		}
	}
}

func ExampleAlignment_Check() {
	a := herzhttp.Alignment{
		HealthInterval: 45 * time.Second, HealthTimeout: 5 * time.Second, UnhealthyThreshold: 1, // the balancer's
		ServerIdle: 60 * time.Second,
		Grace:      30 * time.Second, // Kubernetes'
	}
	fmt.Println("noticed after", a.Detection())
	for _, f := range a.Check() {
		if f.Severity == herzhttp.Failing {
			fmt.Println("-", f.Text)
		}
	}
	// Output:
	// noticed after 50s
	// - the server closes idle connections after 1m0s, the balancer after 1m0s: a request can meet a closing connection (an ALB answers 502); set ServerIdle ≥ 1m5s
	// - the process is killed while the balancer still sends: preStop 0s + drain delay 51s + exit 1s > grace 30s; set Grace ≥ 1m7s, or HealthInterval ≤ 8s
}
