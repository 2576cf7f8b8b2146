//go:build linux

package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"herz.example/herz/faultlab/owner"
)

const (
	lifeTime = 3 * time.Minute // of a browser
	stepTime = 30 * time.Second

	focusTime = 10 * time.Second // for an element to be ready for the keyboard
)

// Page is an open page.
type Page struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in it

	// mu guards what the page did. Nothing else happens under it: it is taken in the loop that reads the browser's messages.
	mu       sync.Mutex
	errors   []string
	requests []string
}

// Open starts a browser of the size of a laptop's screen and loads the page.
func Open(t testing.TB, address string) *Page {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", owner.Name("browser")+"-") //nolint:usetesting // it must outlive dying processes, see remove
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, profile) })
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path),
		chromedp.UserDataDir(profile), chromedp.WindowSize(1440, 900))
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root
		options = append(options, chromedp.NoSandbox)
	}
	life, endLife := context.WithTimeout(context.Background(), lifeTime)
	t.Cleanup(endLife)
	exe, endExe := chromedp.NewExecAllocator(life, options...)
	t.Cleanup(endExe)
	ctx, end := chromedp.NewContext(exe)
	t.Cleanup(end)
	p := &Page{t: t, ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("browser: end: %v", err)
		}
	})
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatalf("browser: start %s: %v", path, err)
	}
	step(p, "load "+address, chromedp.Navigate(address))
	return p
}

// remove takes the profile away; the processes of a browser that has just ended may still write to it.
func remove(t testing.TB, profile string) {
	t.Helper()
	var err error
	for range 50 {
		if err = os.RemoveAll(profile); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("browser: %v", err)
}

func find() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("browser: none of %v is installed: run tools/setup.sh as root", names)
}

// hear notes what the page complains about and asks for. It must not block.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += ": " + e.ExceptionDetails.Exception.Description
		}
		p.errors = append(p.errors, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var text []string
			for _, a := range e.Args {
				text = append(text, string(a.Value)+a.Description)
			}
			p.errors = append(p.errors, "console: "+strings.Join(text, " "))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.errors = append(p.errors, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

// Errors are the exceptions, console errors and failed requests of the page so far.
func (p *Page) Errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.errors)
}

// Strangers are the addresses that the page asked for on another host than its own.
func (p *Page) Strangers(own string) []string {
	home, err := url.Parse(own)
	if err != nil {
		return []string{err.Error()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.requests), func(r string) bool {
		u, err := url.Parse(r)
		return err == nil && (u.Host == home.Host || u.Scheme == "data" || u.Scheme == "blob")
	})
}

// Text is what a person reads in the page, and empty when the selector finds nothing.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	return step(p, "read "+selector, chromedp.Evaluate[string](fmt.Sprintf("(document.querySelector(%q)||{}).innerText||''", selector)))
}

// Count is how many elements the selector finds.
func (p *Page) Count(selector string) int {
	p.t.Helper()
	return step(p, "count "+selector, chromedp.Evaluate[int](fmt.Sprintf("document.querySelectorAll(%q).length", selector)))
}

// Keys presses keys, one after the other, as a person does who has no mouse: "\t" is Tab, "\r" Enter, "\x1b" Escape.
func (p *Page) Keys(keys string) {
	p.t.Helper()
	step(p, fmt.Sprintf("press %q", keys), chromedp.KeyEvent(keys))
}

// Focus puts the keyboard on an element.
func (p *Page) Focus(selector string) {
	p.t.Helper()
	const script = "(e => { e?.focus(); return e != null && document.activeElement === e })(document.querySelector(%q))"
	// A dialog that is being opened, or closed, holds the keyboard off for a moment.
	focus := chromedp.Evaluate[bool](fmt.Sprintf(script, selector))
	for deadline := time.Now().Add(focusTime); !step(p, "focus "+selector, focus); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("browser: %s cannot be focused", selector)
		}
	}
}

// Value is what a script in the page gives, as text.
func (p *Page) Value(script string) string {
	p.t.Helper()
	return step(p, "evaluate "+script, chromedp.Evaluate[string]("String("+script+")"))
}

// Await is what a script in the page promises, as text.
func (p *Page) Await(promise string) string {
	p.t.Helper()
	yes := true
	return step(p, "await "+promise, chromedp.Evaluate[string](promise, func(e *runtime.EvaluateParams) { e.AwaitPromise = &yes }))
}

// Script runs a whole script in the page.
func (p *Page) Script(source string) {
	p.t.Helper()
	step(p, "run a script", chromedp.Evaluate[bool]("(() => {\n"+source+"\n; return true })()"))
}

// Look sets what the page sees of its reader: dark colours, and the size of the window.
func (p *Page) Look(dark bool, width, height int64) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	step(p, "look", chromedp.Steps(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})))
}

// Screenshot is a picture of the whole page, as PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	return step(p, "take a picture", chromedp.FullScreenshot(100))
}

// step does one thing within stepTime.
func step[T any](p *Page, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, stepTime)
	defer cancel()
	out, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("browser: %s: %v", what, err)
	}
	return out
}
