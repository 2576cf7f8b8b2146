package script

import (
	"time"

	"herz.example/herz/cmd/herz/internal/demo/load"
	"herz.example/herz/cmd/herz/internal/demo/proxy"
)

// Fault is one thing that can go wrong.
type Fault struct {
	Name   string
	Title  string
	Words  string        // what happens, for a person
	length time.Duration // from begin to end
	rest   time.Duration // after it, so that its consequences show

	begin func(s Stage) error
	tick  func(s Stage, since time.Duration) // every 50 ms while it lasts
	end   func(s Stage)
}

// Stage is where faults happen.
type Stage struct {
	Proxies []*proxy.Proxy
	Gate    *load.Gate
}

func (s Stage) each(do func(*proxy.Proxy) error) error {
	for _, p := range s.Proxies {
		if err := do(p); err != nil {
			return err // the others would say the same
		}
	}
	return nil
}

// The times of the faults that others need to know.
const (
	idleLimit   = 300 * time.Millisecond  // what the server calls idle
	restartWhen = 1200 * time.Millisecond // into the quiet time
	loseShare   = 0.2
)

// All gives the faults in the order of the script.
func All() []Fault {
	return []Fault{outage(), idleClose(), halfOpen(), blackHole(), freeze(), lostAnswers()}
}

func outage() Fault {
	return Fault{
		Name: "outage", Title: "Outage of 3.4 s",
		Words:  "for 3.4 s every packet is lost; then the path is as before, and what was lost is sent again",
		length: 3400 * time.Millisecond, rest: 4500 * time.Millisecond,
		begin: func(s Stage) error { return s.each((*proxy.Proxy).Outage) },
		end:   func(s Stage) { restore(s) },
	}
}

func restore(s Stage) {
	for _, p := range s.Proxies {
		p.Restore()
	}
}

func idleClose() Fault {
	return Fault{
		Name: "idle-close", Title: "Server closes idle connections",
		Words:  "the users pause for 2 s, and the servers close, with a FIN, what was idle for 0.3 s; then the users come back",
		length: 2 * time.Second, rest: 1500 * time.Millisecond,
		begin: quiet,
		tick: func(s Stage, _ time.Duration) {
			for _, p := range s.Proxies {
				p.CloseIdle(idleLimit)
			}
		},
		end: func(s Stage) { s.Gate.Open() },
	}
}

func quiet(s Stage) error {
	s.Gate.Shut()
	return nil
}

func halfOpen() Fault {
	var done bool
	return Fault{
		Name: "half-open", Title: "Half-open after a restart",
		Words:  "while the users pause, the servers lose power and come back; they know no old connection and answer the next packet with a RST",
		length: 2400 * time.Millisecond, rest: 1500 * time.Millisecond,
		begin: func(s Stage) error {
			done = false
			if err := s.each((*proxy.Proxy).CanForget); err != nil {
				return err
			}
			return quiet(s)
		},
		tick: func(s Stage, since time.Duration) {
			if since < restartWhen || done {
				return
			}
			done = true
			for _, p := range s.Proxies {
				_, _ = p.Forget() // what refuses was tried at the begin
			}
		},
		end: func(s Stage) { s.Gate.Open() },
	}
}

func blackHole() Fault {
	return Fault{
		Name: "black-hole", Title: "Flows dropped without RST",
		Words:  "the connections that are open now get nothing through any more, and nobody is told; new ones work",
		length: 11 * time.Second, rest: 3500 * time.Millisecond,
		begin: func(s Stage) error {
			return s.each(func(p *proxy.Proxy) error {
				_, err := p.BlackHole()
				return err
			})
		},
		end: func(s Stage) {
			for _, p := range s.Proxies {
				p.Fill()
			}
		},
	}
}

func freeze() Fault {
	return Fault{
		Name: "freeze", Title: "Server frozen for 11 s",
		Words:  "the servers stand still: they accept and acknowledge, and do and say nothing; then they do all that they were asked for",
		length: 11 * time.Second, rest: 3500 * time.Millisecond,
		begin: func(s Stage) error {
			for _, p := range s.Proxies {
				p.Freeze()
			}
			return nil
		},
		end: func(s Stage) {
			for _, p := range s.Proxies {
				p.Thaw()
			}
		},
	}
}

func lostAnswers() Fault {
	lose := func(share float64) func(Stage) {
		return func(s Stage) {
			for _, p := range s.Proxies {
				p.LoseAnswers(share)
			}
		}
	}
	return Fault{
		Name: "lost-answers", Title: "Answers lost after execution",
		Words:  "one answer in five gets lost: the server has done what it was asked for, then the connection ends",
		length: 4 * time.Second, rest: 2500 * time.Millisecond,
		begin: func(s Stage) error {
			lose(loseShare)(s)
			return nil
		},
		end: lose(0),
	}
}
