package signal

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

// MaxHosts is how many hosts have series of their own. Those that are met later are one, [OtherHost].
const MaxHosts = 100

// OtherHost stands for the hosts past MaxHosts. It has no port.
const OtherHost = "other"

// other is the conventions' word for a value that is not among the known ones.
const other = "_OTHER"

// Why a try is repeated.
const notDelivered, isHarmless = "not_delivered", "harmless"

// Why it is not known whether a request was executed. A caller who gives up wants no answer any more, so that alerts leave him out.
const connectionLost, timedOut, canceled = "connection_lost", "timeout", "canceled"

// Sample is one measurement of HTTP: of a histogram a value, of a counter what is added, else the number of now.
type Sample struct {
	Metric     string
	Attributes [6]string // values, for Metric.Attributes in that order; empty where there is none
	Value      float64
}

// HTTP turns what a herzhttp.Transport tells into samples. It is made by [NewHTTP].
type HTTP struct {
	article bool
	max     int

	// mu guards what follows. Nothing is called under it.
	mu    sync.RWMutex
	hosts map[string]*server // by address as configured
	known []*server          // the same, and past max the one for all others
}

// server is a host by the names of its attributes.
type server struct {
	address, port string
	full          string // address as configured
	health        [len(dimensions)]health
}

// NewHTTP makes an HTTP. maxHosts 0: MaxHosts. article: also the samples that [ArticleMetrics] describes.
func NewHTTP(maxHosts int, article bool) *HTTP {
	if maxHosts <= 0 {
		maxHosts = MaxHosts
	}
	return &HTTP{max: maxHosts, article: article, hosts: map[string]*server{}}
}

// server finds a host by its address, and takes note of it while there is room.
func (h *HTTP) server(address string) *server {
	h.mu.RLock()
	s := h.metLocked(address)
	h.mu.RUnlock()
	if s != nil {
		return s
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s = h.metLocked(address); s != nil {
		return s
	}
	s = &server{address: OtherHost, full: OtherHost}
	if len(h.known) < h.max {
		s.full = address
		if name, port, err := net.SplitHostPort(address); err == nil {
			s.address, s.port = name, port
		} else {
			s.address = address
		}
		h.hosts[address] = s
	}
	h.known = append(h.known, s)
	return s
}

// metLocked is the host if it is known, or the one for all others where no other has room; else nil.
func (h *HTTP) metLocked(address string) *server {
	if s := h.hosts[address]; s != nil || len(h.known) <= h.max {
		return s
	}
	return h.known[h.max]
}

// addressOf is the host in the name of a pool of a herzhttp.Transport, "shop/api.example.com:443".
func addressOf(poolName string) string { return poolName[strings.LastIndexByte(poolName, '/')+1:] }

// Tried gives the samples of one try of a request.
func (h *HTTP) Tried(t *herzhttp.Try, tell func(Sample)) {
	s := h.server(t.Host)
	connected := t.Err == nil || t.FirstByte > 0
	version, status, kind := "", "", ""
	switch {
	case connected && t.HTTP2:
		version = "2"
	case connected:
		version = "1.1"
	}
	switch {
	case t.Err != nil:
		kind = errorType(t.Err)
	case t.Status < 100 || t.Status > 599:
		kind = other
	default:
		status = statuses[t.Status-100]
		if t.Status >= 400 {
			kind = status
		}
	}
	tell(Sample{RequestDuration, [6]string{method(t.Method), s.address, s.port, status, kind, version}, (t.Waited + t.FirstByte).Seconds()})
	if connected {
		tell(phase(s, "wait", t.Waited))
	}
	if t.Err == nil {
		tell(phase(s, "first_byte", t.FirstByte))
	}
	switch {
	case t.Repeats && t.Unsent:
		tell(Sample{Repeats, [6]string{notDelivered, s.address, s.port}, 1})
	case t.Repeats:
		tell(Sample{Repeats, [6]string{isHarmless, s.address, s.port}, 1})
	case errors.Is(t.Err, guard.ErrAmbiguous):
		tell(Sample{Ambiguous, [6]string{whyAmbiguous(t.Err), s.address, s.port}, 1})
	}
}

func phase(s *server, name string, took time.Duration) Sample {
	return Sample{PhaseDuration, [6]string{name, s.address, s.port}, took.Seconds()}
}

// Dialed gives the samples of one dial: of the phases that happened.
func (h *HTTP) Dialed(d *herzhttp.Dial, tell func(Sample)) {
	s := h.server(d.Host)
	// A series that begins with 1 has not risen, for who asks for its increase.
	for _, reason := range [...]string{notDelivered, isHarmless} {
		tell(Sample{Repeats, [6]string{reason, s.address, s.port}, 0})
	}
	for _, reason := range [...]string{connectionLost, timedOut, canceled} {
		tell(Sample{Ambiguous, [6]string{reason, s.address, s.port}, 0})
	}
	for i, took := range [...]time.Duration{d.Resolve, d.Connect, d.TLS} {
		if took <= 0 {
			continue
		}
		tell(phase(s, [...]string{"resolve", "connect", "tls"}[i], took))
		if h.article {
			s.health[i].add(time.Now(), took)
		}
	}
	if !h.article {
		return
	}
	network := d.Network
	if network == "" { // no connection was begun; net/http looks names up for TCP alone
		network = "tcp"
	}
	if d.Resolve > 0 {
		tell(Sample{DNSStarts, [6]string{network, s.full}, 1})
	}
	if d.Connect > 0 || d.Err == nil {
		tell(Sample{ConnectSuccess, [6]string{network, s.full}, 1})
	}
}

// Closed gives the samples of the end of a connection.
func (h *HTTP) Closed(e pool.Event, tell func(Sample)) {
	if e.Kind != pool.ConnectionClosed || e.Death == nil { // a dial that failed made none
		return
	}
	s := h.server(addressOf(e.Pool))
	tell(Sample{ConnectionDuration, [6]string{s.address, s.port}, e.Duration.Seconds()})
	tell(Sample{ConnectionRequests, [6]string{s.address, s.port}, float64(e.Uses)})
}

// Read gives the numbers of a pool of a herzhttp.Transport. Those of several pools of one host add up.
func (h *HTTP) Read(src pool.Source, tell func(Sample)) {
	s, st := h.server(addressOf(src.Name())), src.Stats()
	at := [6]string{s.address, s.port}
	tell(Sample{OpenConnections, [6]string{s.address, s.port, "active"}, float64(st.InUse)})
	tell(Sample{OpenConnections, [6]string{s.address, s.port, "idle"}, float64(st.Open - st.InUse)})
	tell(Sample{ActiveRequests, at, float64(st.Leases)})
	tell(Sample{HTTPMax, at, float64(src.Limits().MaxOpen)})
	tell(Sample{HTTPWaiting, at, float64(st.Waiting)})
	tell(Sample{HTTPTimeouts, at, float64(st.WaitTimeouts)})
}

// Health gives the article's gauges as they are now. There is nothing to give without article in NewHTTP.
func (h *HTTP) Health(tell func(Sample)) {
	h.mu.RLock()
	known := h.known // it only grows
	h.mu.RUnlock()
	now := time.Now()
	for _, s := range known {
		for i, name := range dimensions {
			highest, newest, ok := s.health[i].read(now)
			if ok {
				tell(Sample{articleGauges[i], [6]string{s.full}, highest})
			}
			if newest >= 0 {
				tell(Sample{ConnectionHealth, [6]string{name, s.full}, newest})
			}
		}
	}
}

// statuses are the numbers from 100 to 599 as texts, so that a request makes none.
var statuses = func() (list [500]string) {
	for i := range list {
		list[i] = strconv.Itoa(100 + i)
	}
	return list
}()

// method is m where the conventions know it (RFC 9110, PATCH of RFC 5789, QUERY), and else their word for the others.
func method(m string) string {
	switch m {
	case "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE":
		return m
	}
	return other
}

// whyAmbiguous is why nobody knows what became of a request.
func whyAmbiguous(err error) string {
	switch kind := errorType(err); kind {
	case timedOut, canceled:
		return kind
	default:
		return connectionLost
	}
}

// errorType is err in one word of a short list.
func errorType(err error) string {
	var full *pool.ExhaustedError
	var dial *pool.DialError
	var timed interface{ Timeout() bool }
	switch {
	case errors.Is(err, herzhttp.ErrClosed), errors.Is(err, pool.ErrClosed):
		return "pool_closed"
	case errors.Is(err, context.Canceled):
		return canceled
	case errors.As(err, &full), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timed) && timed.Timeout():
		return timedOut
	case errors.As(err, &dial):
		return "connection_error"
	case errors.Is(err, guard.ErrAmbiguous):
		return "ambiguous"
	default:
		return other
	}
}

// Named is src under the name that its host has here: pools of hosts past the limit are all [OtherHost], so that series of pools are no more than those of
// hosts.
func (h *HTTP) Named(src pool.Source) pool.Source { return named{src, h} }

type named struct {
	pool.Source

	of *HTTP
}

// Name is the pool's, or OtherHost.
func (n named) Name() string {
	name := n.Source.Name()
	if n.of.server(addressOf(name)).full == OtherHost {
		return OtherHost
	}
	return name
}

// Protocol is HTTP's.
func (n named) Protocol() string { return "http" }

// Drift is the pool's.
func (n named) Drift() int {
	if d, ok := n.Source.(drifting); ok {
		return d.Drift()
	}
	return 0
}
