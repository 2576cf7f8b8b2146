package guard_test

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// optional lists the exported methods of nc beyond net.Conn that its guard's surface could have. The message methods of
// *net.UnixConn and what *tls.Conn says to servers only are left out on purpose, by the contract of Surface.
func optional(nc net.Conn) []string {
	left := map[string]bool{
		"ReadFromUnix": true, "ReadMsgUnix": true, "WriteMsgUnix": true, "WriteToUnix": true,
	}
	basic := reflect.TypeFor[net.Conn]()
	own := reflect.TypeFor[*guard.Conn]()
	var names []string
	for i := range reflect.TypeOf(nc).NumMethod() {
		name := reflect.TypeOf(nc).Method(i).Name
		_, isBasic := basic.MethodByName(name)
		_, isOwn := own.MethodByName(name)
		if isBasic || isOwn || left[name] {
			continue
		}
		names = append(names, name)
	}
	return names
}

// The surface has exactly the optional methods of the connection that it guards.
func TestSurfaceHasExactlyTheInnerMethods(t *testing.T) {
	tcp, _, _ := pair(t, guard.Options{})
	unix, _, _ := dialTo(t, listen(t, "unix", filepath.Join(t.TempDir(), "s")), guard.Options{})
	a, b := net.Pipe()
	defer b.Close()
	encrypted := tls.Client(a, &tls.Config{InsecureSkipVerify: true}) // nothing is sent
	for name, tc := range map[string]struct {
		surface net.Conn
		except  []string
	}{
		"tcp":  {tcp, nil},
		"unix": {unix, []string{"ReadFrom", "WriteTo"}}, // of net.PacketConn: messages, not streams
		"tls":  {guard.Wrap(encrypted, guard.Options{}).Surface(), nil},
		"pipe": {guard.Wrap(b, guard.Options{}).Surface(), nil},
	} {
		g, _ := guard.From(tc.surface)
		defer g.Abort(conn.Error)
		want := slices.DeleteFunc(optional(g.Inner()), func(m string) bool { return slices.Contains(tc.except, m) })
		if got := optional(tc.surface); !slices.Equal(got, want) {
			t.Errorf("%s: surface has %v, want %v", name, got, want)
		}
	}
}

// Parts of connections that nobody knows by name.
type (
	partRF struct{}
	partWT struct{}
	partCW struct{}
	partCR struct{}
	partSC struct{}
	partNC struct{}
)

func (partRF) ReadFrom(io.Reader) (int64, error)     { return 7, nil }
func (partWT) WriteTo(io.Writer) (int64, error)      { return 8, nil }
func (partCW) CloseWrite() error                     { return nil }
func (partCR) CloseRead() error                      { return nil }
func (partSC) SyscallConn() (syscall.RawConn, error) { return nil, syscall.ENOTSUP }
func (partNC) NetConn() net.Conn                     { return nil }

// Connections of unknown types keep every combination of the methods that matter.
func TestSurfaceOfUnknownTypes(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, inner := range []net.Conn{
		struct{ net.Conn }{a},
		struct {
			net.Conn
			partRF
		}{Conn: a},
		struct {
			net.Conn
			partWT
		}{Conn: a},
		struct {
			net.Conn
			partCW
		}{Conn: a},
		struct {
			net.Conn
			partCR
		}{Conn: a},
		struct {
			net.Conn
			partSC
		}{Conn: a},
		struct {
			net.Conn
			partNC
		}{Conn: a},
		struct {
			net.Conn
			partRF
			partCW
		}{Conn: a},
		struct {
			net.Conn
			partCW
			partSC
			partNC
		}{Conn: a},
		struct {
			net.Conn
			partRF
			partWT
			partCW
			partCR
			partSC
			partNC
		}{Conn: a},
	} {
		g := guard.Wrap(inner, guard.Options{})
		if got, want := optional(g.Surface()), optional(inner); !slices.Equal(got, want) {
			t.Errorf("surface has %v, want %v", got, want)
		}
		if found, ok := guard.From(g.Surface()); !ok || found != g {
			t.Errorf("From does not find the guard of a surface with %v", optional(inner))
		}
		if again := guard.Wrap(g.Surface(), guard.Options{}); again != g {
			t.Error("a guarded connection was guarded twice")
		}
		g.Abort(conn.Error) // registered no more; the pipe itself is closed by the test
	}
}

// An empty copy leaves the exchange as it was.
func TestEmptyCopyIsNotSent(t *testing.T) {
	nc, g, _ := pair(t, guard.SQL)
	g.Begin()
	if n, err := nc.(io.ReaderFrom).ReadFrom(strings.NewReader("")); n != 0 || err != nil || g.Delivery() != conn.NothingSent {
		t.Errorf("%d, %v, delivery %v", n, err, g.Delivery())
	}
}

// Two sockets are joined by the kernel, and counted.
func TestCopyBetweenSockets(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	g.Begin()
	_, _, other := pair(t, guard.Options{})
	io.WriteString(s, "through")
	s.CloseWrite()
	if n, err := nc.(io.WriterTo).WriteTo(other); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// CloseWrite half-closes: the peer sees the end, its answer still arrives, and no further request is begun.
func TestCloseWriteHalfCloses(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	io.WriteString(nc, "all")
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); string(got) != "all" || err != nil {
		t.Errorf("the peer got %q, %v", got, err)
	}
	io.WriteString(s, "answer")
	s.Close()
	if got, _ := io.ReadFull(nc, make([]byte, 6)); got != 6 {
		t.Errorf("got %d bytes of the answer", got)
	}
	if g.Alive() == nil {
		t.Error("a half-closed connection is offered for a new request")
	}
}

// The settings of the socket reach it.
func TestSocketOptionsPassThrough(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	k := nc.(interface {
		SetKeepAlive(on bool) error
		SetKeepAlivePeriod(d time.Duration) error
		SetKeepAliveConfig(config net.KeepAliveConfig) error
		SetLinger(sec int) error
		SetNoDelay(on bool) error
		SetReadBuffer(bytes int) error
	})
	for _, err := range []error{
		k.SetKeepAlive(true), k.SetKeepAlivePeriod(time.Minute), k.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute}),
		k.SetNoDelay(false), k.SetReadBuffer(1 << 16), k.SetLinger(0),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := nc.(syscall.Conn).SyscallConn(); err != nil {
		t.Error(err)
	}
	io.WriteString(s, "unread")
	if err := readByte(nc); err != nil { // what was written with it has come, too, and stays unread
		t.Error(err)
	}
	g.Close()
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	if err := readByte(s); !isReset(err) {
		t.Errorf("after SetLinger(0) the peer sees %v, want the reset that was asked for", err)
	}
}

func isReset(err error) bool {
	return err != nil && strings.Contains(err.Error(), "reset")
}
