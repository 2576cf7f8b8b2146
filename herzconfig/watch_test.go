package herzconfig_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/herzconfig"
)

// follower collects the events of a watcher.
type follower struct {
	mu  sync.Mutex // guards all
	all []herzconfig.Reload
}

func (f *follower) on(r herzconfig.Reload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, r)
}

func (f *follower) events() []herzconfig.Reload {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]herzconfig.Reload(nil), f.all...)
}

// watch follows a file; nothing but events of the file system makes it read.
func watch(t *testing.T, path string) (*herzconfig.Watcher, *follower, *journal) {
	t.Helper()
	f, log := new(follower), new(journal)
	w, err := herzconfig.Watch(herzconfig.Config{Path: path, Logger: logger(log), OnReload: f.on, Settle: 20 * time.Millisecond, Poll: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, f, log
}

func maxOpen(w *herzconfig.Watcher) int { return w.Current().Pools()[0].Limits.MaxOpen }

// put replaces a file at once, so that nobody reads it half written.
func put(t *testing.T, path, text string) {
	t.Helper()
	scrawl(t, path+".new", text)
	move(t, path+".new", path)
}

// scrawl writes a file in place.
func scrawl(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

const (
	five  = "pool:\n  maxOpen: 5\n"
	six   = "pool:\n  maxOpen: 6\n"
	seven = "pool:\n  maxOpen: 7\n"
)

// ways are how a file changes in practice. Each is done twice: a watch that was lost by the first change misses the second.
var ways = map[string]struct {
	lay func(t *testing.T, dir string) (path string)
	to  func(t *testing.T, dir, path, text, tag string)
}{
	"written in place": {
		to: func(t *testing.T, _, path, text, _ string) { scrawl(t, path, text) },
	},
	"renamed over, as editors and package managers do": {
		to: func(t *testing.T, dir, path, text, tag string) {
			put(t, filepath.Join(dir, "new-"+tag), text)
			move(t, filepath.Join(dir, "new-"+tag), path)
		},
	},
	"moved away and written anew, as editors with a backup do": {
		to: func(t *testing.T, _, path, text, _ string) {
			move(t, path, path+"~")
			scrawl(t, path, text)
		},
	},
	"deleted and written anew": {
		to: func(t *testing.T, _, path, text, _ string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			scrawl(t, path, text)
		},
	},
	"a ConfigMap of Kubernetes, whose link ..data is swapped": {
		lay: func(t *testing.T, dir string) string {
			folder(t, filepath.Join(dir, "..2026_1"), five)
			link(t, "..2026_1", filepath.Join(dir, "..data"))
			link(t, filepath.Join("..data", "herz-config.yaml"), filepath.Join(dir, "herz-config.yaml"))
			return filepath.Join(dir, "herz-config.yaml")
		},
		to: func(t *testing.T, dir, _, text, tag string) {
			old, err := os.Readlink(filepath.Join(dir, "..data"))
			if err != nil {
				t.Fatal(err)
			}
			folder(t, filepath.Join(dir, "..2026_"+tag), text)
			link(t, "..2026_"+tag, filepath.Join(dir, "..data_tmp"))
			move(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
			if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
				t.Fatal(err)
			}
		},
	},
	"a release whose folder is a link that is swapped": {
		lay: func(t *testing.T, dir string) string {
			folder(t, filepath.Join(dir, "releases", "1"), five)
			link(t, filepath.Join(dir, "releases", "1"), filepath.Join(dir, "current"))
			return filepath.Join(dir, "current", "herz-config.yaml")
		},
		to: func(t *testing.T, dir, _, text, tag string) {
			folder(t, filepath.Join(dir, "releases", tag), text)
			link(t, filepath.Join(dir, "releases", tag), filepath.Join(dir, "next"))
			move(t, filepath.Join(dir, "next"), filepath.Join(dir, "current"))
		},
	},
	"a folder that is renamed away and made anew": {
		lay: func(t *testing.T, dir string) string {
			folder(t, filepath.Join(dir, "etc"), five)
			return filepath.Join(dir, "etc", "herz-config.yaml")
		},
		to: func(t *testing.T, dir, _, text, tag string) {
			folder(t, filepath.Join(dir, "etc-"+tag), text)
			move(t, filepath.Join(dir, "etc"), filepath.Join(dir, "old-"+tag))
			move(t, filepath.Join(dir, "etc-"+tag), filepath.Join(dir, "etc"))
		},
	},
}

func folder(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "herz-config.yaml"), text)
}

func TestNoWayInWhichFilesChangeIsMissed(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "herz-config.yaml")
			if way.lay != nil {
				path = way.lay(t, dir)
			} else {
				put(t, path, five)
			}
			w, _, _ := watch(t, path)
			if n := maxOpen(w); n != 5 {
				t.Fatalf("at first maxOpen is %d", n)
			}
			way.to(t, dir, path, six, "2")
			eventually(t, "the first change is seen", func() bool { return maxOpen(w) == 6 })
			way.to(t, dir, path, seven, "3")
			eventually(t, "the second change is seen", func() bool { return maxOpen(w) == 7 })
		})
	}
}

func TestFileThatChangedWithoutASignIsSeenByPolling(t *testing.T) {
	path := write(t, five)
	w, err := herzconfig.Watch(herzconfig.Config{Path: path, Logger: logger(new(journal)), Settle: time.Hour, Poll: 10 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	put(t, path, six) // its event is held back for an hour
	eventually(t, "polling sees it", func() bool { return maxOpen(w) == 6 })
}

func TestFileThatIsBeingWrittenIsNotTakenByPolling(t *testing.T) {
	path := write(t, five)
	f := new(follower)
	w, err := herzconfig.Watch(herzconfig.Config{
		Path: path, Logger: logger(new(journal)), OnReload: f.on, Settle: time.Hour, Poll: 20 * time.Millisecond,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	for n := range 40 { // the first line alone is valid, and says that maxOpen has its default
		scrawl(t, path, "pool: {maxLifetime: 5m}\n#")
		time.Sleep(5 * time.Millisecond)
		scrawl(t, path, fmt.Sprintf("pool: {maxLifetime: 5m, maxOpen: %d}\n", 20+n))
		time.Sleep(45 * time.Millisecond)
	}
	eventually(t, "the last version", func() bool { return maxOpen(w) == 59 })
	for _, e := range f.events() {
		if e.After != nil && e.After.Pools()[0].Limits.MaxOpen < 20 {
			t.Fatalf("half a file was put in force: %+v", e.Changes)
		}
	}
}

func TestFileOfARelativeNameIsFollowedWhereverTheProcessGoes(t *testing.T) {
	path := write(t, five)
	t.Chdir(filepath.Dir(path))
	w, err := herzconfig.Watch(herzconfig.Config{Path: filepath.Base(path), Logger: logger(new(journal)), Settle: 10 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	t.Chdir(t.TempDir())
	put(t, path, six)
	eventually(t, "the new version", func() bool { return maxOpen(w) == 6 })
	if r := w.Reload(); r.File != filepath.Base(path) {
		t.Errorf("the file is called %q", r.File)
	}
}

func TestInvalidVersionLeavesTheOldOneInForceAndSaysSo(t *testing.T) {
	path := write(t, five)
	w, f, log := watch(t, path)
	before := w.Current()
	put(t, path, "pool:\n  maxOpn: 6\n")
	eventually(t, "the event", func() bool { return len(f.events()) == 1 })
	e := f.events()[0]
	var invalid *herzconfig.InvalidError
	if e.Outcome != herzconfig.Invalid || e.After != nil || e.Before != before || !errors.As(e.Err, &invalid) || invalid.Problems[0].Line != 2 {
		t.Errorf("the event is %+v", e)
	}
	if w.Current() != before {
		t.Error("the invalid version is in force")
	}
	eventually(t, "the warning", func() bool { return strings.Contains(log.String(), "did you mean maxOpen?") })
	if !strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=INFO") {
		t.Errorf("the log has %s", log)
	}
	if r := w.Reload(); r.Outcome != 0 {
		t.Errorf("the same invalid version was told twice: %+v", r)
	}
	put(t, path, six)
	eventually(t, "the next valid version", func() bool { return maxOpen(w) == 6 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is gone", func() bool { es := f.events(); return es[len(es)-1].Outcome == herzconfig.Invalid && maxOpen(w) == 6 })
}

func TestEveryChangeIsAnEventWithBeforeAndAfter(t *testing.T) {
	path := write(t, "pool:\n  maxOpen: 5\n  testOnBorrow: true\n")
	w, f, log := watch(t, path)
	put(t, path, "pool:\n  maxOpen: 6\n  maxLifetime: 5m\n")
	eventually(t, "the event", func() bool { return len(f.events()) == 1 })
	e := f.events()[0]
	got := map[string]herzconfig.Change{}
	for _, c := range e.Changes {
		got[c.Key] = c
	}
	want := map[string]herzconfig.Change{
		"maxOpen":      {Pool: "DefaultPool", Key: "maxOpen", Before: "5", After: "6", Live: true},
		"testOnBorrow": {Pool: "DefaultPool", Key: "testOnBorrow", Before: "true", Live: true},
		"maxLifetime":  {Pool: "DefaultPool", Key: "maxLifetime", After: "5m", Live: true},
	}
	if len(got) != len(want) || got["maxOpen"] != want["maxOpen"] || got["testOnBorrow"] != want["testOnBorrow"] || got["maxLifetime"] != want["maxLifetime"] {
		t.Errorf("the changes are %+v", e.Changes)
	}
	if e.Outcome != herzconfig.Applied || e.Err != nil || e.Before.Pools()[0].Limits.MaxOpen != 5 || e.After != w.Current() || e.At.IsZero() {
		t.Errorf("the event is %+v", e)
	}
	if said := log.String(); strings.Count(said, "level=INFO") != 3 || !strings.Contains(said, "key=maxOpen before=5 after=6") {
		t.Errorf("the log has %s", said)
	}
	put(t, path, "# a comment is no change\npool: {maxLifetime: 5m, maxOpen: 6}\n")
	if r := w.Reload(); r.Outcome != 0 {
		t.Errorf("a comment is told as %v", r.Outcome)
	}
	if n := len(f.events()); n != 1 {
		t.Errorf("a comment made %d events", n-1)
	}
}

func TestManyWritesAreReadOnceTheyHaveSettled(t *testing.T) {
	path := write(t, five)
	f := new(follower)
	w, err := herzconfig.Watch(herzconfig.Config{Path: path, Logger: logger(new(journal)), OnReload: f.on, Settle: time.Second, Poll: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	for range 20 {
		scrawl(t, path, "pool:\n  max")
		time.Sleep(5 * time.Millisecond)
	}
	put(t, path, six)
	eventually(t, "the event of the last version", func() bool { return maxOpen(w) == 6 && len(f.events()) > 0 })
	if n := len(f.events()); n != 1 {
		t.Errorf("%d events for a file that was being written: %+v", n, f.events())
	}
}

func TestWatchRefusesAFileThatIsNotValid(t *testing.T) {
	if w, err := herzconfig.Watch(herzconfig.Config{Path: write(t, "pool:\n")}, nil); err == nil || w != nil {
		t.Errorf("got %v, %v", w, err)
	}
	if w, err := herzconfig.Watch(herzconfig.Config{Path: filepath.Join(t.TempDir(), "none")}, nil); err == nil || w != nil {
		t.Errorf("got %v, %v", w, err)
	}
}

func TestVersionThatIsRefusedIsNotInForce(t *testing.T) {
	path := write(t, five)
	no := errors.New("not today")
	f := new(follower)
	w, err := herzconfig.Watch(herzconfig.Config{Path: path, Logger: logger(new(journal)), OnReload: f.on, Settle: 10 * time.Millisecond},
		func(_, after *herzconfig.Settings) error {
			if after.Pools()[0].Limits.MaxOpen == 6 {
				return no
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	put(t, path, six)
	eventually(t, "the refusal", func() bool {
		es := f.events()
		return len(es) == 1 && es[0].Outcome == herzconfig.Refused && errors.Is(es[0].Err, no)
	})
	if n := maxOpen(w); n != 5 {
		t.Errorf("maxOpen is %d", n)
	}
	put(t, path, seven)
	eventually(t, "the event of the next", func() bool { return maxOpen(w) == 7 && len(f.events()) == 2 })
	if e := f.events()[1]; e.Changes[0].Before != "5" || e.Changes[0].After != "7" {
		t.Errorf("the change is told from a version that was never in force: %+v", e.Changes)
	}
}
