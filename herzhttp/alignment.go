package herzhttp

import (
	"fmt"
	"math"
	"time"
)

// Defaults of [Alignment].
const (
	// DefaultHealthInterval is that of many balancers: HAProxy checks every 2 s, NGINX Plus every 5 s, Kubernetes every 10 s, an ALB every 30 s, and
	// Envoy has no default.
	DefaultHealthInterval     = 5 * time.Second
	DefaultHealthTimeout      = 2 * time.Second
	DefaultUnhealthyThreshold = 3
	DefaultPropagation        = time.Second
	// DefaultFailTimeout is nginx's fail_timeout.
	DefaultFailTimeout = 10 * time.Second
	// DefaultBalancerIdle is that of an AWS ALB (idle_timeout.timeout_seconds) and of nginx (keepalive_timeout in upstream).
	DefaultBalancerIdle   = 60 * time.Second
	DefaultLongestRequest = 10 * time.Second
	DefaultPoolDrain      = 5 * time.Second
	// DefaultGrace is Kubernetes' terminationGracePeriodSeconds.
	DefaultGrace = 30 * time.Second
)

const (
	// idleMargin is by how much the end that must close later waits longer: a request on its way, and clocks that start at different moments.
	idleMargin = 5 * time.Second
	// endless is an idle time-out that nobody lives to see. A margin can be added to it.
	endless time.Duration = math.MaxInt64 / 2
	// goodbyeTime is how long before the listener closes HTTP/2 connections are given up, at most, where nobody says when the balancer has noticed.
	goodbyeTime = time.Second
	// exitTime is what is kept of the budget for the end of the process itself.
	exitTime = time.Second
)

// Notice is how a balancer learns that a server leaves.
type Notice uint8

// The ways to learn it.
const (
	// ByStatus: the server answers health checks with an unexpected status. A [Server] does.
	ByStatus Notice = iota
	// BySilence: health checks are not answered. A process that was killed or frozen, a server that closes at once.
	BySilence
	// ByAnswers: the balancer makes no health checks and learns from what its requests meet (nginx without Plus, outlier detection). A [Server] then answers GET
	// and HEAD with 503 while it drains, without handling them: the balancer has to be told to ask another server then (nginx:
	// proxy_next_upstream error timeout http_503), which is safe, and leaves this one alone for FailTimeout.
	ByAnswers
	// ByWithdrawal: somebody else tells it, when he decides that the server ends: Kubernetes takes a pod out of its endpoints as it deletes it.
	ByWithdrawal

	numNotices = int(ByWithdrawal) + 1
)

var noticeNames = [numNotices]string{"status", "silence", "answers", "withdrawal"}

// String gives the way's name.
func (n Notice) String() string {
	if int(n) >= numNotices {
		return fmt.Sprintf("notice(%d)", uint8(n))
	}
	return noticeNames[n]
}

// Alignment is the times that have to fit each other for a server to leave without a lost request: those of the balancer before it, its own,
// and those of whoever stops it. It computes and does no I/O. The zero value is the defaults; a negative time is none.
type Alignment struct {
	// Notice is how the balancer learns that the server leaves.
	Notice Notice
	// HealthInterval is the time from one health check to the next. With ByAnswers, the longest time from one GET to the next at this server. 0: 5 s.
	HealthInterval time.Duration
	// HealthJitter is what the balancer adds to each interval at most. 0: none.
	HealthJitter time.Duration
	// HealthTimeout is how long it waits for an answer to a check. 0: 2 s.
	HealthTimeout time.Duration
	// UnhealthyThreshold is how many checks in a row must remain without an answer. 0: 3.
	UnhealthyThreshold int
	// StatusThreshold is how many checks in a row must be answered with an unexpected status. 0: 1, as of Envoy, which ignores its threshold
	// then. HAProxy (fall), an ALB and Kubernetes count those as the others: set it to UnhealthyThreshold there.
	StatusThreshold int
	// ChecksInTurn says that an interval begins when the check before is over, its time-out included, as of Envoy; elsewhere it begins with
	// the check.
	ChecksInTurn bool
	// NoTrafficInterval takes the place of HealthInterval until the balancer sends the first request to any of these servers (Envoy: 60 s unless set; it
	// does not come back after a quiet time). 0: there is none.
	NoTrafficInterval time.Duration
	// FailTimeout is how long a balancer that learns by answers leaves a server alone (nginx: fail_timeout). 0: 10 s.
	FailTimeout time.Duration
	// Propagation is how long after the decision requests still come: other workers, other nodes, what was chosen a moment before. 0: 1 s.
	Propagation time.Duration

	// BalancerIdle is after how long the balancer closes an idle connection to the server, and a client's. 0: 60 s. Negative: never.
	BalancerIdle time.Duration
	// ServerIdle is after how long the server does. 0: BalancerIdle and 5 s more. Negative: never.
	ServerIdle time.Duration
	// ClientIdle is after how long clients of the balancer close theirs (http.Transport: 90 s). 0: it is not looked at.
	ClientIdle time.Duration

	// Grace is the time from the order to end until the process is killed (Kubernetes: terminationGracePeriodSeconds). PreStop is part of it. 0: 30 s.
	Grace time.Duration
	// PreStop is how much of Grace has passed when the process gets its signal (a preStop hook of Kubernetes). 0: none.
	PreStop time.Duration
	// DrainDelay is how long the server goes on accepting after its health check has failed. 0: NeededDelay.
	DrainDelay time.Duration
	// LongestRequest is how long a request may take that came at the last moment. 0: 10 s.
	LongestRequest time.Duration
	// PoolDrain is how long pools get for their drain at least. 0: 5 s.
	PoolDrain time.Duration

	filledIn bool // a zero is none, and no longer the default
}

// Resolved is a with every default in place of its zero. What is negative becomes 0, and a 0 is none from then on; of BalancerIdle and ServerIdle it becomes
// longer than anybody waits. What it gives answers every question as a does.
func (a Alignment) Resolved() Alignment {
	if a.filledIn {
		return a
	}
	a = a.filled()
	a.DrainDelay = orTime(a.DrainDelay, a.needed())
	return a
}

// filled is Resolved but for DrainDelay, whose default depends on the others.
func (a Alignment) filled() Alignment {
	if a.filledIn {
		return a
	}
	a.filledIn = true
	a.HealthInterval = orTime(a.HealthInterval, DefaultHealthInterval)
	a.HealthJitter = max(a.HealthJitter, 0)
	a.HealthTimeout = orTime(a.HealthTimeout, DefaultHealthTimeout)
	a.UnhealthyThreshold = orCount(a.UnhealthyThreshold, DefaultUnhealthyThreshold)
	a.StatusThreshold = orCount(a.StatusThreshold, 1)
	a.NoTrafficInterval = max(a.NoTrafficInterval, 0)
	a.FailTimeout = orTime(a.FailTimeout, DefaultFailTimeout)
	a.Propagation = orTime(a.Propagation, DefaultPropagation)
	a.BalancerIdle = orIdle(a.BalancerIdle, DefaultBalancerIdle)
	a.ServerIdle = orIdle(a.ServerIdle, a.BalancerIdle+idleMargin)
	a.ClientIdle = max(a.ClientIdle, 0)
	a.Grace = orTime(a.Grace, DefaultGrace)
	a.PreStop = max(a.PreStop, 0)
	a.LongestRequest = orTime(a.LongestRequest, DefaultLongestRequest)
	a.PoolDrain = orTime(a.PoolDrain, DefaultPoolDrain)
	return a
}

// orTime is v, the default where v is 0, and 0 where it is negative.
func orTime(v, otherwise time.Duration) time.Duration {
	if v == 0 {
		return otherwise
	}
	return max(v, 0)
}

// orIdle is v, the default where v is 0, and endless where it is negative: who has no idle time-out closes nothing.
func orIdle(v, otherwise time.Duration) time.Duration {
	switch {
	case v == 0:
		return otherwise
	case v < 0:
		return endless
	}
	return min(v, endless)
}

func orCount(v, otherwise int) int {
	if v <= 0 {
		return otherwise
	}
	return v
}

// DetectionOnStatus is how long a balancer that checks goes on sending to a server that answers its checks with an unexpected status, at most:
// StatusThreshold × (HealthInterval + HealthJitter) + HealthTimeout. With Envoy, whose threshold is 1 then, that is interval + jitter + time-out.
func (a Alignment) DetectionOnStatus() time.Duration {
	a = a.filled()
	return times(a.StatusThreshold, a.HealthInterval+a.HealthJitter) + a.HealthTimeout
}

// DetectionOnSilence is the same for a server that does not answer them: UnhealthyThreshold × (HealthInterval + HealthJitter) + HealthTimeout, and
// with ChecksInTurn a HealthTimeout for each of the checks.
func (a Alignment) DetectionOnSilence() time.Duration {
	a = a.filled()
	waits := 1
	if a.ChecksInTurn {
		waits = a.UnhealthyThreshold
	}
	return times(a.UnhealthyThreshold, a.HealthInterval+a.HealthJitter) + times(waits, a.HealthTimeout)
}

func times(n int, d time.Duration) time.Duration { return time.Duration(n) * d }

// Detection is how long the balancer takes to notice, by Notice. With ByAnswers that is HealthInterval, and with ByWithdrawal nothing: Propagation is all.
func (a Alignment) Detection() time.Duration {
	switch a.Notice {
	case ByStatus:
		return a.DetectionOnStatus()
	case BySilence:
		return a.DetectionOnSilence()
	case ByAnswers:
		return a.filled().HealthInterval
	case ByWithdrawal:
	}
	return 0
}

// NeededDelay is how long the server has to go on accepting after its signal: Detection and Propagation. Of a withdrawal, PreStop has waited for a
// part already.
func (a Alignment) NeededDelay() time.Duration { return a.filled().needed() }

// needed is NeededDelay of what was filled.
func (a Alignment) needed() time.Duration {
	delay := a.Detection() + a.Propagation
	if a.Notice == ByWithdrawal {
		delay = max(delay-a.PreStop, 0)
	}
	return delay
}

// unnoticed is for how long of a delay the balancer may go on opening connections. How long the news of a withdrawal takes nobody says, so that it is all of
// it but what HTTP/2 connections need to be given up.
func (a Alignment) unnoticed(delay time.Duration) time.Duration {
	if a.Notice == ByWithdrawal {
		return delay - min(delay/3, goodbyeTime)
	}
	return min(a.Detection(), delay)
}

// budget is how the time from the signal on is divided. All are lengths.
type budget struct{ all, delay, pools time.Duration }

// budget gives the delay first, because it is needed for certain, but keeps what pools want, a quarter of all at most. Requests get what is left.
func (a Alignment) budget(most time.Duration) budget {
	all := min(max(a.Grace-a.PreStop-exitTime, 0), most)
	pools := min(a.PoolDrain, all/4)
	return budget{all: all, delay: min(a.DrainDelay, all-pools), pools: pools}
}
