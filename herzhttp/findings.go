package herzhttp

import (
	"cmp"
	"fmt"
	"net/http"
	"time"
)

// Severity says how bad a [Finding] is.
type Severity uint8

// The severities.
const (
	// Warning: requests are lost when something else happens, too.
	Warning Severity = iota + 1
	// Failing: requests are lost at a normal restart, or in normal use.
	Failing
)

// String is the word for it, as it stands in logs.
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Failing:
		return "failing"
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// MarshalText gives the word, so that JSON shows it.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that does not fit.
type Finding struct {
	Severity Severity
	// Field is the field of [Alignment] to change.
	Field string
	// Now and Want are what it is and what would do: at least, or for ClientIdle, DrainDelay before a FailTimeout and NoTrafficInterval at most.
	Now, Want time.Duration
	// Text is a sentence: what does not fit, what comes of it, and what to set.
	Text string
}

// String is the severity and the sentence.
func (f Finding) String() string { return f.Severity.String() + ": " + f.Text }

// findings collects.
type findings []Finding

func (l *findings) add(s Severity, field string, now, want time.Duration, format string, args ...any) {
	*l = append(*l, Finding{Severity: s, Field: field, Now: now, Want: want, Text: fmt.Sprintf(format, args...)})
}

// Check says what does not fit; nil when all does. What does the most harm stands first among those of a kind: idle times, then the end.
func (a Alignment) Check() []Finding {
	a = a.Resolved()
	var l findings
	a.checkIdle(&l)
	a.checkDelay(&l)
	a.checkGrace(&l)
	a.checkOtherEnds(&l)
	return l
}

// checkIdle: of two ends of an idle connection, the one that would send the next request has to close first; otherwise a request meets a connection that
// closes (RFC 9112, 9.3.1 and 9.5).
func (a Alignment) checkIdle(l *findings) {
	want := a.BalancerIdle + idleMargin
	switch {
	case a.ServerIdle >= endless: // neither closes, or the balancer first
	case a.ServerIdle <= a.BalancerIdle:
		l.add(Failing, "ServerIdle", a.ServerIdle, want,
			"the server closes idle connections after %v, the balancer after %v: a request can meet a closing connection (an ALB answers 502); set ServerIdle ≥ %v",
			a.ServerIdle, a.BalancerIdle, want)
	case a.ServerIdle < want:
		l.add(Warning, "ServerIdle", a.ServerIdle, want,
			"the server closes idle connections only %v after the balancer would: less than %v is within the reach of a delayed packet; set ServerIdle ≥ %v",
			a.ServerIdle-a.BalancerIdle, idleMargin, want)
	}
	if most := max(a.BalancerIdle-idleMargin, a.BalancerIdle/2); a.ClientIdle > most {
		s := Warning
		if a.ClientIdle >= a.BalancerIdle {
			s = Failing
		}
		l.add(s, "ClientIdle", a.ClientIdle, most,
			"clients keep idle connections for %v, the balancer for %v: a request can meet a closing connection; set the clients' idle time ≤ %v",
			a.ClientIdle, a.BalancerIdle, most)
	}
}

// checkHeader is checkIdle of a connection without a request yet: the time for a header ends it, without an answer.
func (a Alignment) checkHeader(hs *http.Server) (l findings) {
	limit := cmp.Or(hs.ReadHeaderTimeout, hs.ReadTimeout) // as net/http has it
	if want := a.BalancerIdle + idleMargin; limit > 0 && limit < a.BalancerIdle {
		l.add(Warning, "http.Server.ReadHeaderTimeout", limit, want,
			"the server closes connections that it gets no request on after %v, and the balancer keeps idle connections for %v: one that it made in advance can "+
				"close while a request is under way; set ReadHeaderTimeout ≥ %v",
			limit, a.BalancerIdle, want)
	}
	return l
}

func (a Alignment) checkDelay(l *findings) {
	if need := a.needed(); a.DrainDelay < need {
		l.add(Failing, "DrainDelay", a.DrainDelay, need,
			"the listener closes %v after the health check fails, and the balancer sends for %v (detection by %v %v, propagation %v): set DrainDelay ≥ %v",
			a.DrainDelay, need, a.Notice, a.Detection(), a.Propagation, need)
	}
	if a.Notice == ByAnswers && a.DrainDelay > a.FailTimeout {
		l.add(Failing, "DrainDelay", a.DrainDelay, a.FailTimeout,
			"the balancer comes back after a FailTimeout of %v, before the listener closes after %v: set DrainDelay ≤ %v, or FailTimeout ≥ %v",
			a.FailTimeout, a.DrainDelay, a.FailTimeout, a.DrainDelay)
	}
}

func (a Alignment) checkGrace(l *findings) {
	room := a.Grace - a.PreStop - exitTime
	if a.DrainDelay > room {
		l.add(Failing, "Grace", a.Grace, a.PreStop+a.DrainDelay+a.LongestRequest+a.PoolDrain+exitTime,
			"the process is killed while the balancer still sends: preStop %v + drain delay %v + exit %v > grace %v%s",
			a.PreStop, a.DrainDelay, exitTime, a.Grace, a.cure())
		return
	}
	if sum := a.PreStop + a.DrainDelay + a.LongestRequest + a.PoolDrain + exitTime; sum > a.Grace {
		l.add(Failing, "Grace", a.Grace, sum,
			"requests or pools are cut: preStop %v + drain delay %v + longest request %v + pools %v + exit %v = %v > grace %v%s",
			a.PreStop, a.DrainDelay, a.LongestRequest, a.PoolDrain, exitTime, sum, a.Grace, a.cure())
	}
}

// cure names what brings the end into the grace: more of it, or a quicker detection.
func (a Alignment) cure() string {
	rest := a.PreStop + a.LongestRequest + a.PoolDrain + exitTime
	text := fmt.Sprintf("; set Grace ≥ %v", rest+a.DrainDelay)
	n, checked := 0, a.HealthTimeout
	switch a.Notice {
	case ByStatus:
		n = a.StatusThreshold
	case BySilence:
		n = a.UnhealthyThreshold
		if a.ChecksInTurn {
			checked = times(n, a.HealthTimeout)
		}
	case ByAnswers, ByWithdrawal:
	}
	if n == 0 { // no interval would help
		return text
	}
	room := a.Grace - rest - a.Propagation - checked
	if every := (room / time.Duration(n)) - a.HealthJitter; every >= time.Second {
		return text + fmt.Sprintf(", or HealthInterval ≤ %v", every.Truncate(time.Second))
	}
	if n > 1 && a.HealthInterval+a.HealthJitter <= room+checked-a.HealthTimeout {
		return text + ", or a threshold of 1"
	}
	return text + ", or shorten what is before it"
}

// checkOtherEnds is about ends that are not as Notice says, and traffic that is not there.
func (a Alignment) checkOtherEnds(l *findings) {
	if a.Notice == ByStatus && a.DetectionOnSilence() > a.Grace {
		l.add(Warning, "UnhealthyThreshold", a.DetectionOnSilence(), a.Grace,
			"a process that is killed or freezes is sent requests for %v, longer than the grace of %v: "+
				"only one that answers its checks with an error is noticed in %v; lower UnhealthyThreshold (%d) or HealthInterval (%v)",
			a.DetectionOnSilence(), a.Grace, a.DetectionOnStatus(), a.UnhealthyThreshold, a.HealthInterval)
	}
	if quiet := a.NoTrafficInterval; quiet > a.HealthInterval && (a.Notice == ByStatus || a.Notice == BySilence) {
		b := a
		b.HealthInterval = quiet
		if b.Detection() > a.DrainDelay {
			l.add(Warning, "NoTrafficInterval", quiet, a.HealthInterval,
				"before a balancer's first request, its checks come every %v, and the server is gone after %v: that request can meet nobody; "+
					"set NoTrafficInterval ≤ %v",
				quiet, a.DrainDelay, a.HealthInterval)
		}
	}
}
