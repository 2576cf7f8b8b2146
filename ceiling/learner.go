package ceiling

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// Config says what a Learner may do. The zero value works: it only tells. No field may change after New.
type Config struct {
	// Apply lets it set the MaxIdleTime of pools whose source has SetLimits, as pools of Herz and what herzsql.Source gives have. False: it only tells.
	Apply bool
	// Floor is the least MaxIdleTime that it sets. 0: one second. What would be less is told and not set.
	Floor time.Duration
	// Logger takes a line, at WARN, for each lesson, and for each that is forgotten. Nil: slog.Default, as it is in New.
	Logger *slog.Logger
}

// Learner learns for any number of pools. It is made by New and given to them as an observer.
type Learner struct {
	cfg Config
	wg  sync.WaitGroup // limits that are being set

	// mu guards students, and what each of them has learned. No pool is asked under it, and nothing is logged.
	mu       sync.Mutex
	students []*student
}

// New makes a Learner.
func New(cfg Config) *Learner {
	if cfg.Floor <= 0 {
		cfg.Floor = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Learner{cfg: cfg}
}

// Observe does nothing: each pool has an observer of its own, see Bind.
func (l *Learner) Observe(pool.Event) {}

// WantsLoans reports false.
func (l *Learner) WantsLoans() bool { return false }

// Bind gives the observer for one pool. It is called by the pool.
func (l *Learner) Bind(src pool.Source) pool.Observer {
	s := &student{of: l, src: src, peers: map[string]*peer{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.students = append(l.students, s)
	return s
}

// Lessons are what is known now, by pool and peer. It looks at the connections that rest, and forgets what they contradict.
func (l *Learner) Lessons() []Lesson {
	l.mu.Lock()
	students := slices.Clone(l.students)
	l.mu.Unlock()
	var all []Lesson
	for _, s := range students {
		s.doubt()
		all = append(all, s.lessons()...)
	}
	slices.SortFunc(all, func(a, b Lesson) int { return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Peer, b.Peer)) })
	return all
}

// Wait returns when all limits that were about to be set are set.
func (l *Learner) Wait() { l.wg.Wait() }

// limited is a source whose limits can be set.
type limited interface{ SetLimits(l pool.Limits) error }

// student learns for one pool.
type student struct {
	of    *Learner
	src   pool.Source
	peers map[string]*peer // guarded by Learner.mu
}

// peersKept bounds the peers of a pool that are remembered; the one that was quiet for longest is forgotten first.
const peersKept = 64

// peer is what was seen of one address.
type peer struct {
	ages   []time.Duration // one of each moment, the oldest first
	last   moment
	lesson *Lesson // nil: nothing was learned
	change *change // nil: no limit was set because of it
}

// moment is a time at which connections ended, and how old they were.
type moment struct {
	at       time.Time
	min, max time.Duration
}

// instant is how near to each other deaths are one observation.
const instant = 50 * time.Millisecond

// WantsLoans reports false.
func (s *student) WantsLoans() bool { return false }

// Observe learns from a connection that the other side closed while nothing was asked.
func (s *student) Observe(e pool.Event) {
	switch {
	case e.Kind == pool.PoolClosed:
		s.of.mu.Lock()
		defer s.of.mu.Unlock()
		s.of.students = slices.DeleteFunc(s.of.students, func(x *student) bool { return x == s })
	case e.Kind == pool.ConnectionClosed && e.Death != nil && rested(e.Death):
		s.see(e.At, e.Death)
	}
}

// rested reports whether the other side closed a connection that nobody was using. A connection that never rested tells nothing.
func rested(d *conn.Death) bool {
	return (d.Cause == conn.PeerFIN || d.Cause == conn.PeerRST) && d.Phase != "processing" && d.Phase != "tls" && d.Idle >= slack && d.Peer != ""
}

func (s *student) see(at time.Time, d *conn.Death) {
	s.of.mu.Lock()
	p := s.peerLocked(d.Peer)
	p.observe(at, d.Idle)
	changed := p.judge(s.src.Name(), d.Peer)
	var told Lesson
	if p.lesson != nil {
		told = *p.lesson
	}
	s.of.mu.Unlock()
	switch {
	case !changed:
	case told.Ceiling == 0:
		s.recant(d.Peer)
	default:
		s.of.cfg.Logger.Warn("herz: idle connections are closed by somebody else", "pool", told.Pool, "peer", told.Peer, "after", tidy(told.Ceiling),
			"spread", tidy(told.Spread), "agree", told.Agree, "of", told.Of, "cure", "set MaxIdleTime to "+tidy(told.Advised()).String())
		s.apply(d.Peer, told.Ceiling)
	}
}

func (s *student) peerLocked(name string) *peer {
	p := s.peers[name]
	if p != nil {
		return p
	}
	if len(s.peers) >= peersKept {
		quiet := ""
		for other, o := range s.peers {
			if quiet == "" || o.last.at.Before(s.peers[quiet].last.at) {
				quiet = other
			}
		}
		delete(s.peers, quiet)
	}
	p = &peer{}
	s.peers[name] = p
	return p
}

// observe notes an age. Deaths of one moment are one observation, and where their ages differ they are none.
func (p *peer) observe(at time.Time, age time.Duration) {
	if at.Sub(p.last.at) > instant {
		p.last = moment{at, age, age}
		p.ages = append(p.ages, age)
		if len(p.ages) > Kept {
			p.ages = p.ages[1:]
		}
		return
	}
	was := p.last.mixed()
	p.last.at, p.last.min, p.last.max = at, min(p.last.min, age), max(p.last.max, age)
	if p.last.mixed() && !was {
		p.ages = p.ages[:len(p.ages)-1]
	}
}

func (m moment) mixed() bool { return m.max-m.min > max(m.min/10, instant) }

// judge learns, or forgets, and reports whether that changed anything that should be told.
func (p *peer) judge(name, address string) bool {
	ceiling, spread, agree, ok := settled(p.ages)
	was := p.lesson
	if !ok {
		p.lesson = nil
		return was != nil
	}
	p.lesson = &Lesson{Pool: name, Peer: address, Ceiling: ceiling, Spread: spread, Agree: agree, Of: len(p.ages), Known: known(ceiling)}
	if was != nil {
		p.lesson.Limit = was.Limit
		return (was.Ceiling - ceiling).Abs() > max(was.Ceiling/10, slack)
	}
	return true
}

// doubt forgets what connections contradict that have rested for longer and live.
func (s *student) doubt() {
	if len(s.lessons()) == 0 {
		return // a list of all connections is dear
	}
	oldest := map[string]time.Duration{}
	for _, c := range s.src.Snapshot() {
		if c.State == conn.Idle {
			oldest[c.Peer] = max(oldest[c.Peer], c.Idle)
		}
	}
	var wrong []string
	s.of.mu.Lock()
	for name, p := range s.peers {
		if p.lesson != nil && oldest[name] > p.lesson.Ceiling*6/5+time.Second {
			p.lesson, p.ages = nil, nil
			wrong = append(wrong, name)
		}
	}
	s.of.mu.Unlock()
	for _, name := range wrong {
		s.recant(name)
	}
}

// recant tells that what was learned of a peer does not hold any more, and takes back what was set because of it.
func (s *student) recant(name string) {
	s.of.cfg.Logger.Warn("herz: what was learned about idle connections does not hold any more", "pool", s.src.Name(), "peer", name)
	s.apply(name, 0)
}

func (s *student) lessons() (all []Lesson) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	for _, p := range s.peers {
		if p.lesson != nil {
			all = append(all, *p.lesson)
		}
	}
	return all
}
