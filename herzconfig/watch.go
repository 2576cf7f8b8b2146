package herzconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Outcome is what became of a new version of a file.
type Outcome uint8

// The outcomes. Only Applied changes anything.
const (
	Applied      Outcome = iota + 1
	Invalid              // it has errors, or cannot be read
	NeedsRestart         // it changes what a running program cannot
	Refused              // a pool did not take it
)

// String gives the outcome as it stands in logs and JSON.
func (o Outcome) String() string {
	switch o {
	case Applied:
		return "applied"
	case Invalid:
		return "invalid"
	case NeedsRestart:
		return "needs_restart"
	case Refused:
		return "refused"
	default:
		return "unchanged"
	}
}

// MarshalText gives the same, for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Reload is the event of a file that has changed.
type Reload struct {
	At       time.Time
	File     string
	Outcome  Outcome   // 0: nothing that counts has changed
	Before   *Settings // in force until now
	After    *Settings // what the file says; nil when it is Invalid
	Changes  []Change  // from Before to After
	Problems Problems  // of the file, warnings among them
	Err      error     // why it is not Applied
}

// Times of a Watcher.
const (
	DefaultSettle = 100 * time.Millisecond
	DefaultPoll   = 30 * time.Second

	// blindPoll is how often the file is read where the system cannot tell of its changes.
	blindPoll = 2 * time.Second
	// settleMost is how many times Settle a file that does not come to rest may wait.
	settleMost = 10
	// closeWait is how long Close waits for a function of the user that is under way.
	closeWait = 5 * time.Second
)

// Watcher follows a file and keeps what it says.
type Watcher struct {
	c       Config
	path    string
	apply   func(before, after *Settings) error
	current atomic.Pointer[Settings]
	stop    chan struct{}
	ended   chan struct{}
	once    sync.Once

	// telling guards the order of versions: the next is not read before the log and OnReload have been told of the last. So OnReload is called under it, and
	// Reload must not be.
	telling sync.Mutex

	// mu guards seen. It is held by whoever reloads, for as long as that takes: two reloads never overlap. No log is written and no function of the user
	// but apply and Config.EnableLegacyKeepAlive is called under it.
	mu   sync.Mutex
	seen []byte // the text that was read last; nil when it could not be read
}

// Watch reads the file of the configuration, and from then on each version of it. A version that is valid and differs in what it says is handed to apply
// together with the one in force, and is in force when apply returns nil; apply must put in force all of it or nothing, in the manner of [ApplyTo]. A
// nil apply takes
// every version. Watch returns an [*InvalidError] when the first version is not valid. The caller closes the Watcher.
func Watch(c Config, apply func(before, after *Settings) error) (*Watcher, error) {
	w, err := newWatcher(c, apply)
	if err != nil {
		return nil, err
	}
	c.tellWebSocket(w.Current())
	w.start()
	return w, nil
}

func newWatcher(c Config, apply func(before, after *Settings) error) (*Watcher, error) {
	c = c.withDefaults()
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("herz/herzconfig: watch %s: %w", c.Path, bareError(err))
	}
	text, problems := c.parser().read(path, c.Path)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	s, problems := c.parser().Parse(c.Path, text)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	w := &Watcher{c: c, path: path, apply: apply, seen: text, stop: make(chan struct{}), ended: make(chan struct{})}
	w.current.Store(s)
	for _, p := range problems {
		c.Logger.Warn("herz: the configuration has a warning", "problem", p.String())
	}
	return w, nil
}

// start begins to follow the file.
func (w *Watcher) start() {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		w.c.Logger.Warn("herz: the system does not tell of changes of the configuration; it is read every two seconds in place of that",
			"file", w.c.Path, "error", err)
		fs = nil
	}
	ways := watched{}
	if fs != nil {
		ways = w.aim(fs, nil)
	}
	go w.run(fs, ways)
}

// Current are the settings in force.
func (w *Watcher) Current() *Settings { return w.current.Load() }

// Close ends the watching. It waits for a reload under way, five seconds at most; so neither apply nor OnReload may call it. It may be called again.
func (w *Watcher) Close() error {
	w.once.Do(func() { close(w.stop) })
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-w.ended:
		return nil
	case <-t.C:
		return fmt.Errorf("herz/herzconfig: close the watcher of %s: a reload has been under way for %v; see what OnReload waits for", w.c.Path, closeWait)
	}
}

// run is the watcher's goroutine.
func (w *Watcher) run(fs *fsnotify.Watcher, ways watched) {
	defer close(w.ended)
	var events chan fsnotify.Event
	var failures chan error
	poll := w.c.Poll
	if fs != nil {
		defer func() { _ = fs.Close() }()
		events, failures = fs.Events, fs.Errors
	} else {
		poll = blindPoll
	}
	settle := time.NewTimer(w.c.Settle) // the file may have changed before it was watched
	defer settle.Stop()
	pending := time.Now()
	// A sign says that somebody writes; a look that finds something new does not say whether he has done.
	confirm := time.NewTimer(poll)
	confirm.Stop()
	defer confirm.Stop()
	var found []byte
	looks := 0
	var tick <-chan time.Time
	if poll > 0 {
		t := time.NewTicker(poll)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-w.stop:
			return
		case e := <-events:
			if !ways.concerns(e.Name) || e.Op == fsnotify.Chmod {
				continue
			}
		case err := <-failures:
			w.c.Logger.Warn("herz: signs of changes of the configuration were lost; it is read again", "file", w.c.Path, "error", err)
		case <-tick:
			switch text, differs := w.look(); {
			case differs && looks == 0:
				found, looks = text, 1
				confirm.Reset(min(w.c.Settle, poll))
			case !differs && fs != nil:
				ways = w.aim(fs, ways) // links may lead elsewhere, to the same text
			}
			continue
		case <-confirm.C:
			if text, differs := w.look(); differs && !bytes.Equal(text, found) && looks < settleMost {
				found = text
				looks++
				confirm.Reset(min(w.c.Settle, poll))
				continue
			}
			looks = 0
			w.again(fs, &ways)
			continue
		case <-settle.C:
			pending = time.Time{}
			w.again(fs, &ways)
			continue
		}
		if pending.IsZero() {
			pending = time.Now()
		}
		settle.Reset(min(w.c.Settle, max(time.Until(pending.Add(settleMost*w.c.Settle)), 0)))
	}
}

// look reads the file and reports whether it is another version than the one read last. It changes nothing.
func (w *Watcher) look() (text []byte, differs bool) {
	text, _ = w.c.parser().read(w.path, w.c.Path)
	w.mu.Lock()
	defer w.mu.Unlock()
	return text, !sameText(text, w.seen)
}

// sameText compares two readings; nil is a file that cannot be read, and not an empty one.
func sameText(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// again aims anew, because links may lead elsewhere now, and then reads the file.
func (w *Watcher) again(fs *fsnotify.Watcher, ways *watched) {
	if fs != nil {
		*ways = w.aim(fs, *ways)
	}
	if r := w.Reload(); r.Outcome != 0 && fs != nil {
		*ways = w.aim(fs, *ways)
	}
}

// aim watches the folders on the way to the file, and no others. What cannot be watched is left to the polling.
func (w *Watcher) aim(fs *fsnotify.Watcher, old watched) watched {
	now := waysTo(w.path)
	for dir := range now {
		_ = fs.Add(dir)
	}
	for dir := range old {
		if now[dir] == nil {
			_ = fs.Remove(dir)
		}
	}
	return now
}

// Reload reads the file now, whether or not it has changed, and reports what became of it. Outcome is 0 when it says what is in force, or when it is
// the version that
// was turned down before.
func (w *Watcher) Reload() Reload {
	w.telling.Lock()
	defer w.telling.Unlock()
	r := w.reload()
	w.log(r)
	if r.Outcome != 0 && w.c.OnReload != nil {
		w.c.OnReload(r)
	}
	return r
}

func (w *Watcher) reload() Reload {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Reload{At: time.Now(), File: w.c.Path, Before: w.current.Load()}
	text, problems := w.c.parser().read(w.path, w.c.Path)
	if sameText(text, w.seen) {
		return r
	}
	w.seen = text
	var s *Settings
	if text != nil {
		s, problems = w.c.parser().Parse(w.c.Path, text)
	}
	r.Problems, r.Err = problems, problems.Err()
	if r.Err != nil {
		r.Outcome = Invalid
		return r
	}
	r.After, r.Changes = s, Changes(r.Before, s)
	if len(r.Changes) == 0 {
		return r
	}
	r.Outcome = Applied
	if w.apply != nil {
		r.Err = w.apply(r.Before, s)
	}
	var restart *RestartError
	switch {
	case r.Err == nil:
		w.current.Store(s)
		w.c.tellWebSocket(s)
	case errors.As(r.Err, &restart):
		r.Outcome = NeedsRestart
	default:
		r.Outcome = Refused
	}
	return r
}

func (w *Watcher) log(r Reload) {
	l := w.c.Logger
	for _, p := range r.Problems.Warnings() {
		l.Warn("herz: the configuration has a warning", "problem", p.String())
	}
	switch r.Outcome {
	case 0:
	case Applied:
		for _, c := range r.Changes {
			l.Info("herz: the configuration has changed", "file", r.File, "pool", c.Pool, "key", c.Key, "before", c.Before, "after", c.After)
		}
	default:
		l.LogAttrs(context.Background(), slog.LevelWarn, "herz: the configuration is not used, and the one before stays in force",
			slog.String("file", r.File), slog.String("outcome", r.Outcome.String()), slog.String("error", r.Err.Error()))
	}
}
