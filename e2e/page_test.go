//go:build linux

package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/e2e/browser"
	"herz.example/herz/faultlab/owner"
)

const (
	buildTime = 10 * time.Minute // of the herz command on a cold cache
	bootTime  = 30 * time.Second // from its start to the address of its page
	pageMoves = 10 * time.Second // within which every number of the page has changed
)

var command struct {
	once sync.Once
	dir  string
	err  error
}

// herz builds the command once and gives its path.
func herz(t *testing.T) string {
	t.Helper()
	command.once.Do(func() {
		if command.dir, command.err = os.MkdirTemp("", owner.Name("command")+"-"); command.err != nil { //nolint:usetesting // several tests use it
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), buildTime)
		defer cancel()
		build := exec.CommandContext(ctx, "go", "build", "-o", command.dir, "herz.example/herz/cmd/herz")
		if out, err := build.CombinedOutput(); err != nil {
			command.err = errors.Join(err, errors.New(string(out)))
		}
	})
	if command.err != nil {
		t.Fatalf("build the herz command: %v", command.err)
	}
	return filepath.Join(command.dir, "herz")
}

// demo is a running `herz demo`.
type demo struct {
	cmd  *exec.Cmd
	url  string
	done chan error
}

// startDemo starts the demo and waits until it has printed the address of its page. It is killed when the test ends.
func startDemo(t *testing.T, duration string) *demo {
	t.Helper()
	cmd := exec.Command(herz(t), "demo", "--duration", duration, "--addr", "127.0.0.1:0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatalf("start the demo: %v", err)
	}
	d := &demo{cmd: cmd, done: make(chan error, 1)}
	said := make(chan string, 1)
	var text strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		lines := bufio.NewReader(r)
		address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)
		for {
			line, err := lines.ReadString('\n')
			text.WriteString(line)
			if found := address.FindString(line); found != "" {
				select {
				case said <- found:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	go func() { d.done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // ended already: good
		<-read
		if t.Failed() {
			t.Logf("the demo said: %s", text.String())
		}
	})
	limit := time.NewTimer(bootTime)
	defer limit.Stop()
	select {
	case d.url = <-said:
		return d
	case err := <-d.done:
		t.Fatalf("the demo ended before it printed an address: %v", err)
	case <-limit.C:
		t.Fatalf("the demo printed no address within %v", bootTime)
	}
	return nil
}

// blameless checks that a page complained about nothing and asked nobody else for anything, and keeps a picture of it in the
// folder that HERZ_PICTURES names, if it does.
func blameless(t *testing.T, p *browser.Page, address, name string) {
	t.Helper()
	if e := p.Errors(); len(e) > 0 {
		t.Errorf("%s: the page complained: %q", name, e)
	}
	if s := p.Strangers(address); len(s) > 0 {
		t.Errorf("%s: the page asked other hosts: %q", name, s)
	}
	picture := p.Screenshot()
	if dir := os.Getenv("HERZ_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
			t.Error(err)
		}
	}
}

func TestPagesOfTheDemoAreAliveInChromium(t *testing.T) {
	d := startDemo(t, "60s")
	p := browser.Open(t, d.url)
	for _, kind := range []string{"article", "stock", "herz"} {
		panel := "section.client-" + kind
		if !within(pageMoves, func() bool { return p.Text(panel+" .counters") != "" }) {
			t.Fatalf("the page shows no client of kind %s", kind)
		}
		before := p.Text(panel + " .counters")
		if !within(pageMoves, func() bool { return p.Text(panel+" .counters") != before }) {
			t.Errorf("the numbers of the client of kind %s do not move: %q", kind, before)
		}
	}
	if n := p.Count("section.client-herz"); n != 2 {
		t.Errorf("the page shows %d clients of Herz, want 2", n)
	}
	if !within(pageMoves, func() bool { return p.Count("section.client .tile:not(.tile-free)") > 0 }) {
		t.Error("the page shows no connection")
	}
	if os.Getenv("HERZ_PICTURES") != "" { // a picture is worth more once somebody suffers
		well := func(kind string) bool { return strings.Contains(p.Text("section.client-"+kind+" .suffering"), "Well") }
		if !within(50*time.Second, func() bool { return !well("article") && !well("stock") && well("herz") }) {
			t.Error("no client suffered")
		}
	}
	accessible(t, p, "demo")
	blameless(t, p, d.url, "demo")

	board := d.url + "debug/herz/"
	b := browser.Open(t, board)
	if !within(pageMoves, func() bool { return b.Count(".tile:not(.tile-free)") > 0 }) {
		t.Error("the board shows no connection")
	}
	before := b.Text("main")
	if !within(pageMoves, func() bool { return b.Text("main") != before }) {
		t.Error("the board does not move")
	}
	accessible(t, b, "board of the demo")
	blameless(t, b, board, "board")
}

func TestInterruptEndsTheDemoWithinASecond(t *testing.T) {
	d := startDemo(t, "60s")
	p := browser.Open(t, d.url) // a page that listens for events must not hold it
	if !within(pageMoves, func() bool { return p.Text("section.client-herz .counters") != "" }) {
		t.Fatal("the page shows nothing")
	}
	asked := time.Now()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case err := <-d.done:
		took := time.Since(asked)
		t.Logf("figures: ended %v after the interrupt: %v", took.Round(time.Millisecond), err)
		if took > time.Second {
			t.Errorf("the demo took %v to end, more than a second", took)
		}
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 130) {
			t.Errorf("the demo ended with %v, want a clean end", err)
		}
	case <-limit.C:
		t.Error("the demo still runs 10 s after the interrupt")
	}
}
