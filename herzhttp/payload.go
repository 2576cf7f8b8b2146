package herzhttp

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
)

// payload is the body of a request whose Close matters. net/http does not close a body where it gives a request up before it has begun to send it
// (golang/go#49621 is mended for its own pool only), and closes twice now and then.
type payload struct {
	io.ReadCloser
	state  atomic.Uint32 // untouched, begun, shut
	closed atomic.Bool
	failed atomic.Bool // its owner's Read gave an error: what follows is no news of the connection
}

const (
	untouched uint32 = iota
	begun            // net/http reads it, and will close it
	shut             // it was closed before that
)

// Read reads on.
func (p *payload) Read(b []byte) (int, error) {
	if p.state.Load() != begun && !p.state.CompareAndSwap(untouched, begun) {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := p.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		p.failed.Store(true)
	}
	return n, err
}

// Close closes the body, once.
func (p *payload) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.ReadCloser.Close()
}

// giveUp closes the body unless net/http has begun to read it.
func (p *payload) giveUp() {
	if p != nil && p.state.CompareAndSwap(untouched, shut) {
		_ = p.Close()
	}
}

// bufferedBody is the type of the bodies that http.NewRequest makes of strings and bytes.
var bufferedBody = reflect.TypeOf(io.NopCloser(strings.NewReader("")))

// plain reports whether nothing comes of the Close of b, and its Read fails with nothing that could be taken for news of the connection. The type alone does
// not tell: io.NopCloser gives the same for whatever can write itself, such as a bufio.Reader over another connection.
func plain(b io.ReadCloser) bool {
	if reflect.TypeOf(b) != bufferedBody {
		return false
	}
	switch reflect.ValueOf(b).Field(0).Interface().(type) {
	case *strings.Reader, *bytes.Reader, *bytes.Buffer:
		return true
	}
	return false
}

// attend wraps the body of the request that is sent next, where its Close matters.
func (r *request) attend() {
	r.body = nil
	b := r.req.Body
	if b == nil || b == http.NoBody || plain(b) {
		return
	}
	r.body = &payload{ReadCloser: b}
	next := *r.req
	next.Body = r.body
	r.req = &next
}
