package board

import (
	"embed"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed all:ui
var built embed.FS

// writeTimeout bounds one write of an event, so that a watcher whose machine is gone does not keep its handler.
const writeTimeout = 5 * time.Second

// policy lets the page load from its own server only; data: is for the icon.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP serves the page, its parts, the snapshot, the events, the pools and the record of actions to GET and HEAD, and does the
// actions that are sent by POST.
func (b *Board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	word, verb, action := b.actionAt(r)
	if err := b.allowed(r); err != nil {
		if action && r.Method == http.MethodPost {
			b.audit.enter(auditJSON{From: origin(r), Action: cut(string(verb)), Pool: cut(word), Outcome: refused, Detail: err.Error()})
		}
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	if action {
		if r.Method != http.MethodPost {
			head.Set("Allow", "POST")
			refuse(w, http.StatusMethodNotAllowed, "herz/board: here is an action; use POST")
			return
		}
		b.serveAction(w, r, word, verb)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "herz/board: this page only shows; use GET")
		return
	}
	path, under := strings.CutPrefix(r.URL.Path, b.cfg.Prefix)
	switch {
	case !under && r.URL.Path+"/" == b.cfg.Prefix:
		http.Redirect(w, r, b.cfg.Prefix, http.StatusMovedPermanently)
	case !under:
		refuse(w, http.StatusNotFound, "herz/board: nothing is here; the board is at "+b.cfg.Prefix)
	case path == "api/snapshot":
		b.serveSnapshot(w, r)
	case path == "api/events":
		b.serveEvents(w, r)
	case path == "api/goroutines":
		b.serveGoroutines(w)
	case path == "api/audit":
		b.serveAudit(w)
	case path == "api/pools" || strings.HasPrefix(path, "api/pools/"):
		b.servePools(w, underPools(r))
	default:
		serveFile(w, r, path)
	}
}

// underPools is what follows api/pools in the address of a request, as it was escaped: a name may have a slash.
func underPools(r *http.Request) string {
	_, rest, _ := strings.Cut(r.URL.EscapedPath(), "/api/pools")
	return rest
}

// actionAt tells whether a request has the address of an action, whatever that is.
func (b *Board) actionAt(r *http.Request) (word string, verb Verb, ok bool) {
	if !strings.HasPrefix(r.URL.Path, b.cfg.Prefix+"api/pools/") {
		return "", "", false
	}
	word, verb, ok = cutAction(underPools(r))
	return word, verb, ok && verb != ""
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, why, status)
}

func (b *Board) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	body, err := b.encoded()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "herz/board: encode the snapshot: "+err.Error())
		return
	}
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Length", strconv.Itoa(len(body)+1))
	if r.Method == http.MethodHead {
		return
	}
	// A caller who left is no longer interested in an error.
	_, _ = w.Write(append(body, '\n'))
}

func (b *Board) serveEvents(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return
	}
	watch, err := b.hub.join(r.URL.Query().Get("deltas") == "1")
	if err != nil {
		head.Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "herz/board: "+err.Error())
		return
	}
	defer b.hub.leave(watch)
	if r.ProtoMajor == 1 {
		head.Set("Connection", "close") // The deadlines set below must not meet another request.
	}
	stream := http.NewResponseController(w)
	// Not every ResponseWriter has deadlines; those of net/http have.
	_ = stream.SetReadDeadline(time.Time{})
	over := b.shutdowns.of(r)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-over:
			return
		case event, more := <-watch.events:
			if !more || send(w, stream, event) != nil {
				return
			}
		}
	}
}

// send writes one event and waits for it to leave, writeTimeout at most.
func send(w http.ResponseWriter, stream *http.ResponseController, e event) error {
	_ = stream.SetWriteDeadline(time.Now().Add(writeTimeout)) // see serveEvents
	for _, part := range [...][]byte{[]byte("event: " + e.kind + "\ndata: "), e.data, []byte("\n\n")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return stream.Flush()
}

// serveFile serves the built page. What has a hash in its name never changes; the page itself is asked for each time.
func serveFile(w http.ResponseWriter, r *http.Request, path string) {
	if path == "" {
		path = "index.html"
	}
	name := "ui/" + path
	if info, err := fs.Stat(built, name); err != nil || info.IsDir() {
		refuse(w, http.StatusNotFound, "herz/board: there is no such file on the board: "+strconv.Quote(path))
		return
	}
	if strings.HasPrefix(path, "assets/") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	// Set by hand: what the machine's MIME table says is not known.
	if kind := contentType(path); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	http.ServeFileFS(w, r, built, name)
}

func contentType(path string) string {
	for suffix, kind := range map[string]string{
		".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8",
	} {
		if strings.HasSuffix(path, suffix) {
			return kind
		}
	}
	return ""
}
