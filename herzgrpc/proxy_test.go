package herzgrpc_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// relay is an HTTP proxy that brings every CONNECT to one server.
type relay struct {
	ln    net.Listener
	to    string
	asked chan *http.Request
	code  atomic.Int64 // refuses with it; 0: 200
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	p := &relay{ln: listen(t, "127.0.0.1:0"), to: to, asked: make(chan *http.Request, 8)}
	done := make(chan struct{})
	t.Cleanup(func() { p.ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			nc, err := p.ln.Accept()
			if err != nil {
				return
			}
			go p.pass(nc)
		}
	}()
	return p
}

func (p *relay) pass(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p.asked <- req
	if code := int(p.code.Load()); code != 0 {
		io.WriteString(nc, "HTTP/1.1 "+http.StatusText(code)+"\r\n\r\n")
		return
	}
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer out.Close()
	io.WriteString(nc, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
	go func() {
		defer out.(*net.TCPConn).CloseWrite()
		io.Copy(out, in)
	}()
	io.Copy(nc, out)
}

// via sends everything through the proxy but what is asked for as direct.
func via(p *relay) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if strings.HasPrefix(r.URL.Host, "127.") {
			return nil, nil
		}
		return &url.URL{Scheme: "http", Host: p.ln.Addr().String(), User: url.UserPassword("someone", "secret")}, nil
	}
}

func TestProxyIsUsedAsWithGRPCsOwnDialer(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := startRelay(t, s.addr())
	for target, want := range map[string]string{
		"dns:///orders.test":              "orders.test:443", // the proxy resolves names
		"orders.test:50051":               "orders.test:50051",
		"passthrough:///orders.test:4711": "orders.test:4711",
	} {
		c := client(t, herzgrpc.Config{Proxy: via(p), Name: target})
		must(t, ask(within(t, patience), dial(t, c, target), ""))
		req := <-p.asked
		if req.Method != http.MethodConnect || req.Host != want || req.Header.Get("Proxy-Authorization") != "Basic c29tZW9uZTpzZWNyZXQ=" {
			t.Errorf("%s: %s %s %v", target, req.Method, req.Host, req.Header)
		}
		guarded := false
		for _, g := range guard.Live() {
			guarded = guarded || g.Info().Pool == target
		}
		if !guarded {
			t.Errorf("%s: the connection to the proxy is not guarded", target)
		}
	}
}

func TestProxyIsPassedByWhereItShouldBe(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := startRelay(t, s.addr())
	c := client(t, herzgrpc.Config{Proxy: via(p)})
	must(t, ask(within(t, patience), dial(t, c, "dns:///"+s.addr()), ""))
	if len(p.asked) > 0 {
		t.Error("the proxy was asked for a target that it is not for")
	}
}

// askOwn makes a call to a name that a resolver of the application's own leads to addr, where the name has the proxy p.
func askOwn(t *testing.T, p *relay, addr string) {
	t.Helper()
	own := manual.NewBuilderWithScheme("own")
	own.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: addr}}})
	c := client(t, herzgrpc.Config{Proxy: via(p), Resolvers: []resolver.Builder{own}, Retries: -1})
	must(t, ask(within(t, patience), dial(t, c, "own:///orders.test"), ""))
}

// NO_PROXY may name addresses: gRPC asks for each that a name leads to.
func TestProxyIsPassedByForAnAddressThatItIsNotFor(t *testing.T) {
	t.Parallel()
	direct, far := start(t), start(t)
	p := startRelay(t, far.addr())
	askOwn(t, p, direct.addr())
	if direct.executed.Load() != 1 || len(p.asked) > 0 {
		t.Errorf("%d calls came directly, and %d times the proxy was asked", direct.executed.Load(), len(p.asked))
	}
}

func TestProxyIsPassedByForASocketOfThisMachine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	must(t, err)
	s := serveOn(t, ln)
	p := startRelay(t, "")
	askOwn(t, p, "unix:"+path)
	if s.executed.Load() != 1 || len(p.asked) > 0 {
		t.Errorf("%d calls came, and %d times the proxy was asked", s.executed.Load(), len(p.asked))
	}
}

func TestProxyIsAskedForThisMachineByName(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 8)
	c := client(t, herzgrpc.Config{Retries: -1, Proxy: func(r *http.Request) (*url.URL, error) {
		asked <- r.URL.Host
		return nil, nil
	}})
	s := start(t)
	_, port, err := net.SplitHostPort(s.addr())
	must(t, err)
	must(t, ask(within(t, patience), dial(t, c, "dns:///:"+port), ""))
	if host := <-asked; host != "localhost:"+port {
		t.Errorf("asked for %s", host)
	}
}

func TestProxyThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	p := startRelay(t, "")
	p.code.Store(http.StatusForbidden)
	c := client(t, herzgrpc.Config{Proxy: via(p), Retries: -1})
	err := ask(within(t, patience), dial(t, c, "orders.test:1"), "")
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), p.ln.Addr().String()) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	counted(t, c, unaryMethod, codes.Unavailable)
}

func TestProxyOfAnotherSchemeIsRefusedInWords(t *testing.T) {
	t.Parallel()
	c := client(t, herzgrpc.Config{Retries: -1, Proxy: func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "socks5", Host: "x:1"}, nil }})
	err := ask(within(t, patience), dial(t, c, "orders.test:1"), "")
	if err == nil || !strings.Contains(err.Error(), "socks5://x:1") || !strings.Contains(err.Error(), "Config.Dialer") {
		t.Error(err)
	}
}
