package record

import (
	"fmt"
	"io"
	"os"
	"time"
)

// Progress tells a person at a terminal how long it will take. Into a file it writes nothing.
type Progress struct {
	Log   io.Writer
	Total int // steps
	Every int // steps between two lines

	began time.Time
	done  int
}

// Began is when the first step was begun, or the zero time.
func (p *Progress) Began() time.Time { return p.began }

// Start begins the first step.
func (p *Progress) Start() { p.began = time.Now() }

// Step ends one step and begins the next.
func (p *Progress) Step() {
	p.done++
	f, ok := p.Log.(*os.File)
	if !ok || p.done%p.Every != 0 || p.done > p.Total {
		return
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	left := max(time.Since(p.began)/time.Duration(p.done)*time.Duration(p.Total-p.done), time.Second)
	_, _ = fmt.Fprintf(f, "\r%d of %d, about %v left ", p.done, p.Total, left.Round(time.Second))
}
