package herzsql

import (
	"fmt"
	"sync/atomic"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// promised is the view of a database that is being opened: observers are bound before there is a pool to show.
type promised struct {
	name string
	view atomic.Pointer[View]
}

func (p *promised) Name() string { return p.name }

func (p *promised) Stats() pool.Stats {
	if v := p.view.Load(); v != nil {
		return v.Stats()
	}
	return pool.Stats{Name: p.name}
}

func (p *promised) Snapshot() []pool.ConnInfo {
	if v := p.view.Load(); v != nil {
		return v.Snapshot()
	}
	return nil
}

func (p *promised) Deaths() []conn.Death {
	if v := p.view.Load(); v != nil {
		return v.Deaths()
	}
	return nil
}

func (p *promised) Limits() pool.Limits {
	if v := p.view.Load(); v != nil {
		return v.Limits()
	}
	return pool.Limits{}
}

// SetLimits is that of the View.
func (p *promised) SetLimits(l pool.Limits) error {
	if v := p.view.Load(); v != nil {
		return v.SetLimits(l)
	}
	return fmt.Errorf("herz/herzsql: set limits: %q is not open yet", p.name)
}

// Drift is that of the View.
func (p *promised) Drift() int {
	if v := p.view.Load(); v != nil {
		return v.Drift()
	}
	return 0
}

// Unasked is that of the View.
func (p *promised) Unasked() []conn.Unasked {
	if v := p.view.Load(); v != nil {
		return v.Unasked()
	}
	return nil
}
