package herzws_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/herzws"
)

// part is a frame as the peer sends it, well or badly.
type part struct {
	op       ws.OpCode
	payload  string
	more     bool // FIN is not set
	rsv      byte
	unmasked bool // or masked, where the peer is the server
	length   int64
}

func (f part) bytes(client bool) []byte {
	h := ws.Header{Fin: !f.more, Rsv: f.rsv, OpCode: f.op, Length: int64(len(f.payload))}
	if f.length > 0 {
		h.Length = f.length
	}
	body := []byte(f.payload)
	if client != f.unmasked {
		h.Masked, h.Mask = true, ws.NewMask()
		ws.Cipher(body, h.Mask, 0)
	}
	var b strings.Builder
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	return append([]byte(b.String()), body...)
}

func closing(code ws.StatusCode, reason string) string {
	return string(ws.NewCloseFrameBody(code, reason))
}

const (
	text, binary, more, ping, pong, goodbye = ws.OpText, ws.OpBinary, ws.OpContinuation, ws.OpPing, ws.OpPong, ws.OpClose
)

// conformance is what RFC 6455 asks of whoever reads frames, by its sections. The peer echoes messages. Every case is sent in one piece, and byte by byte.
var conformance = []struct {
	section, what string
	send          []part
	want          []string
}{
	{"5.6", "an empty text", []part{{op: text}}, []string{"text "}},
	{"5.6", "a text", []part{{op: text, payload: "hello"}}, []string{"text hello"}},
	{"5.6", "bytes that are no text", []part{{op: binary, payload: "\xff\x00\x80"}}, []string{"binary \xff\x00\x80"}},
	{"5.2", "125 bytes, the longest of the short lengths", []part{{op: binary, payload: strings.Repeat("a", 125)}}, []string{"binary " + strings.Repeat("a", 125)}},
	{"5.2", "126 bytes, the first of the 16-bit lengths", []part{{op: binary, payload: strings.Repeat("b", 126)}}, []string{"binary " + strings.Repeat("b", 126)}},
	{"5.2", "65535 bytes, the last of the 16-bit lengths", []part{{op: binary, payload: strings.Repeat("c", 65535)}}, []string{"binary " + strings.Repeat("c", 65535)}},
	{"5.2", "65536 bytes, the first of the 64-bit lengths", []part{{op: binary, payload: strings.Repeat("d", 65536)}}, []string{"binary " + strings.Repeat("d", 65536)}},
	{"5.2", "RSV1", []part{{op: text, payload: "a", rsv: 4}}, []string{"close 1002", "end"}},
	{"5.2", "RSV2", []part{{op: text, payload: "a", rsv: 2}}, []string{"close 1002", "end"}},
	{"5.2", "RSV3 of a ping", []part{{op: ping, rsv: 1}}, []string{"close 1002", "end"}},
	{"5.2", "RSV1 after a good message", []part{{op: text, payload: "a"}, {op: text, payload: "b", rsv: 4}}, []string{"text a", "close 1002", "end"}},
	{"5.2", "reserved opcode 3", []part{{op: 3}}, []string{"close 1002", "end"}},
	{"5.2", "reserved opcode 7, with a payload", []part{{op: 7, payload: "x"}}, []string{"close 1002", "end"}},
	{"5.2", "reserved opcode 11", []part{{op: 11}}, []string{"close 1002", "end"}},
	{"5.2", "reserved opcode 15", []part{{op: 15}}, []string{"close 1002", "end"}},
	{"5.1", "the wrong masking", []part{{op: text, payload: "a", unmasked: true}}, []string{"close 1002", "end"}},
	{"5.1", "the wrong masking of a ping", []part{{op: ping, unmasked: true}}, []string{"close 1002", "end"}},

	{"5.4", "two fragments", []part{{op: text, payload: "hel", more: true}, {op: more, payload: "lo"}}, []string{"text hello"}},
	{"5.4", "many fragments, empty ones among them", []part{
		{op: binary, payload: "a", more: true}, {op: more, more: true}, {op: more, payload: "b", more: true}, {op: more},
	}, []string{"binary ab"}},
	{"5.4", "fragments that are all empty", []part{{op: text, more: true}, {op: more, more: true}, {op: more}}, []string{"text "}},
	{"5.4", "a ping between fragments", []part{{op: text, payload: "a", more: true}, {op: ping, payload: "p"}, {op: more, payload: "b"}}, []string{"pong p", "text ab"}},
	{"5.4", "a pong between fragments", []part{{op: text, payload: "a", more: true}, {op: pong, payload: "p"}, {op: more, payload: "b"}}, []string{"text ab"}},
	{"5.4", "a Close frame between fragments", []part{{op: text, payload: "a", more: true}, {op: goodbye, payload: closing(1000, "")}}, []string{"close 1000", "end"}},
	{"5.4", "a continuation of nothing", []part{{op: more, payload: "a"}}, []string{"close 1002", "end"}},
	{"5.4", "a continuation after a whole message", []part{{op: text, payload: "a"}, {op: more, payload: "b"}}, []string{"text a", "close 1002", "end"}},
	{"5.4", "a continuation of nothing that goes on", []part{{op: more, payload: "a", more: true}}, []string{"close 1002", "end"}},
	{"5.4", "a new message among fragments", []part{{op: text, payload: "a", more: true}, {op: text, payload: "b"}}, []string{"close 1002", "end"}},
	{"5.4", "two messages in fragments", []part{
		{op: text, payload: "a", more: true}, {op: more, payload: "b"}, {op: binary, payload: "c", more: true}, {op: more, payload: "d"},
	}, []string{"text ab", "binary cd"}},

	{"5.5", "a control frame of 125 bytes", []part{{op: ping, payload: strings.Repeat("p", 125)}}, []string{"pong " + strings.Repeat("p", 125)}},
	{"5.5", "a control frame of 126 bytes", []part{{op: ping, payload: strings.Repeat("p", 126)}}, []string{"close 1002", "end"}},
	{"5.5", "a Close frame of 126 bytes", []part{{op: goodbye, payload: "\x03\xe8" + strings.Repeat("r", 124)}}, []string{"close 1002", "end"}},
	{"5.5", "a ping in fragments", []part{{op: ping, payload: "p", more: true}}, []string{"close 1002", "end"}},
	{"5.5", "a Close frame in fragments", []part{{op: goodbye, more: true}}, []string{"close 1002", "end"}},
	{"5.5.2", "a ping", []part{{op: ping}}, []string{"pong "}},
	{"5.5.2", "a ping with bytes that are no text", []part{{op: ping, payload: "\x00\xff\xfe"}}, []string{"pong \x00\xff\xfe"}},
	{"5.5.2", "ten pings", []part{
		{op: ping, payload: "0"},
		{op: ping, payload: "1"},
		{op: ping, payload: "2"},
		{op: ping, payload: "3"},
		{op: ping, payload: "4"},
		{op: ping, payload: "5"},
		{op: ping, payload: "6"},
		{op: ping, payload: "7"},
		{op: ping, payload: "8"},
		{op: ping, payload: "9"},
	}, []string{"pong 0", "pong 1", "pong 2", "pong 3", "pong 4", "pong 5", "pong 6", "pong 7", "pong 8", "pong 9"}},
	{"5.5.3", "a pong that nobody asked for", []part{{op: pong, payload: "p"}, {op: text, payload: "a"}}, []string{"text a"}},

	{"5.5.1", "a Close frame without a code", []part{{op: goodbye}}, []string{"close", "end"}},
	{"5.5.1", "a Close frame of one byte", []part{{op: goodbye, payload: "\x03"}}, []string{"close 1002", "end"}},
	{"5.5.1", "a Close frame with a reason", []part{{op: goodbye, payload: closing(1000, "enough")}}, []string{"close 1000", "end"}},
	{"5.5.1", "a Close frame with the longest reason", []part{{op: goodbye, payload: closing(1001, strings.Repeat("r", 123))}}, []string{"close 1001", "end"}},
	{"5.5.1", "a reason that is not UTF-8", []part{{op: goodbye, payload: "\x03\xe8\xff"}}, []string{"close 1007", "end"}},
	{"5.5.1", "a text after the Close frame", []part{{op: goodbye, payload: closing(1000, "")}, {op: text, payload: "a"}}, []string{"close 1000", "end"}},
	{"5.5.1", "a ping after the Close frame", []part{{op: goodbye, payload: closing(1000, "")}, {op: ping}}, []string{"close 1000", "end"}},
	{"5.5.1", "a second Close frame", []part{{op: goodbye, payload: closing(1000, "")}, {op: goodbye, payload: closing(1001, "")}}, []string{"close 1000", "end"}},

	{"8.1", "text of more than one byte a character", []part{{op: text, payload: "κόσμε €𐍈"}}, []string{"text κόσμε €𐍈"}},
	{"8.1", "a character that is split between fragments", []part{{op: text, payload: "\xe2\x82", more: true}, {op: more, payload: "\xac"}}, []string{"text €"}},
	{"8.1", "a character that is split into bytes", []part{
		{op: text, payload: "\xf0", more: true}, {op: more, payload: "\x90", more: true}, {op: more, payload: "\x8d", more: true}, {op: more, payload: "\x88"},
	}, []string{"text 𐍈"}},
	{"8.1", "a byte that is never in UTF-8", []part{{op: text, payload: "a\xffb"}}, []string{"close 1007", "end"}},
	{"8.1", "an overlong form", []part{{op: text, payload: "\xc0\xaf"}}, []string{"close 1007", "end"}},
	{"8.1", "a surrogate", []part{{op: text, payload: "\xed\xa0\x80"}}, []string{"close 1007", "end"}},
	{"8.1", "beyond the last character", []part{{op: text, payload: "\xf4\x90\x80\x80"}}, []string{"close 1007", "end"}},
	{"8.1", "a character without its end", []part{{op: text, payload: "\xe2\x82"}}, []string{"close 1007", "end"}},
	{"8.1", "a character without its end in the last fragment", []part{{op: text, payload: "a", more: true}, {op: more, payload: "\xe2\x82"}}, []string{"close 1007", "end"}},
	{"8.1", "a byte that is never in UTF-8, told before the frame is whole", []part{{op: text, payload: "a\xff", length: 100}}, []string{"close 1007", "end"}},
	{"8.1", "the same in a later fragment", []part{{op: text, payload: "a", more: true}, {op: more, payload: "\xff", length: 100}}, []string{"close 1007", "end"}},
	{"8.1", "a bad first fragment, told before the last", []part{{op: text, payload: "\xff", more: true}}, []string{"close 1007", "end"}},
	{"8.1", "a bad split that the second fragment shows", []part{{op: text, payload: "\xe2\x82", more: true}, {op: more, payload: "a", more: true}}, []string{"close 1007", "end"}},

	{"10.4", "a message that is too great, by its header alone", []part{{op: binary, length: 1<<20 + 1}}, []string{"close 1009", "end"}},
	{"10.4", "a message that is too great by its fragments", []part{
		{op: binary, payload: strings.Repeat("a", 1<<10), more: true}, {op: more, length: 1 << 20},
	}, []string{"close 1009", "end"}},
	{"10.4", "a length of 63 bits", []part{{op: binary, length: 1<<62 + 1}}, []string{"close 1009", "end"}},
}

// codes are the close codes that may be sent, and that may not (RFC 6455, section 7.4; IANA's registry for 1012 to 1014).
var codes = map[ws.StatusCode]bool{
	0: false, 999: false, 1000: true, 1001: true, 1002: true, 1003: true, 1004: false, 1005: false, 1006: false, 1007: true, 1008: true, 1009: true, 1010: true, 1011: true,
	1012: true, 1013: true, 1014: true, 1015: false, 1016: false, 1100: false, 2000: false, 2999: false, 3000: true, 3999: true, 4000: true, 4999: true, 5000: false, 65535: false,
}

// conform runs all cases against a peer that echoes.
func conform(t *testing.T, client bool, dial func(t *testing.T) *peer) {
	one := func(t *testing.T, send []part, want []string, step int) {
		var all []byte
		for _, f := range send {
			all = append(all, f.bytes(client)...)
		}
		p := dial(t)
		if step == 0 {
			step = len(all)
		}
		go func() {
			for ; len(all) > 0; all = all[min(step, len(all)):] {
				if _, err := p.nc.Write(all[:min(step, len(all))]); err != nil {
					return // the other end may have failed the connection already
				}
			}
		}()
		last := len(want) - 1
		p.expect(want[:last]...)
		if !client && want[last] == "end" { // the server closes first (RFC 6455, section 7.1.1)
			_ = p.nc.(*net.TCPConn).CloseWrite()
		}
		p.expect(want[last])
		if want[last] != "end" { // it is still of use
			p.write(part{op: ping, payload: "after"}.bytes(client))
			p.expect("pong after")
		}
	}
	for _, c := range conformance {
		t.Run(c.section+" "+c.what, func(t *testing.T) { one(t, c.send, c.want, 0) })
		size := 0
		for _, f := range c.send {
			size += len(f.payload)
		}
		if size < 2000 {
			t.Run(c.section+" "+c.what+", byte by byte", func(t *testing.T) { one(t, c.send, c.want, 1) })
		}
	}
	for code, good := range codes {
		t.Run("7.4 close code", func(t *testing.T) {
			want := "close 1002"
			if good {
				want = words(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
			}
			one(t, []part{{op: goodbye, payload: closing(code, "")}}, []string{want, "end"}, 0)
		})
	}
}

func TestServerReadsFramesAsTheRFCSays(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		_, addr := serve(t, echo(e))
		conform(t, true, func(t *testing.T) *peer { return open(t, addr) })
	})
}

// A client is held against the same list, by a server that is played by hand.
func TestClientReadsFramesAsTheRFCSays(t *testing.T) {
	conform(t, false, func(t *testing.T) *peer {
		p, _ := playServer(t, herzws.ClientConfig{})
		return p
	})
}

// playServer connects a client to a server played by hand.
func playServer(t *testing.T, cfg herzws.ClientConfig) (*peer, *herzws.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peers := make(chan *peer, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			peers <- nil
			return
		}
		_ = nc.SetDeadline(time.Now().Add(within))
		if _, err = ws.Upgrade(nc); err != nil {
			_ = nc.Close()
			peers <- nil
			return
		}
		peers <- &peer{t, nc, bufio.NewReader(nc)}
	}()
	var client *herzws.Client
	ready := make(chan struct{})
	cfg.URL, cfg.Logger, cfg.CloseTimeout, cfg.Backoff = "ws://"+l.Addr().String()+"/", quiet(), 2*time.Second, time.Hour
	if cfg.OnMessage == nil {
		cfg.OnMessage = func(kind herzws.Kind, payload []byte) {
			<-ready
			_ = client.Send(context.Background(), kind, payload)
		}
	}
	client, err = herzws.Dial(soon(t), cfg)
	close(ready)
	p := <-peers
	if err != nil || p == nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() {
		_ = p.nc.Close()
		if err := client.Close(soon(t)); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p, client
}

func TestHandshakeIsHeldAgainstTheRFC(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Failing: herzws.Failing{Threshold: -1}, Subprotocols: []string{"v2.heartbeat", "v1.heartbeat"}})
	for _, c := range []struct {
		section, what string
		headers       []string
		status        int
		want          map[string]string
	}{
		{"4.2.2", "as the RFC's example", nil, 101, map[string]string{"Sec-Websocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Upgrade": "websocket", "Connection": "Upgrade"}},
		{"4.2.1", "tokens in any case, among others", []string{"Connection: keep-alive, uPGRADE", "Upgrade: h2c, WebSocket"}, 101, nil},
		{"4.2.1", "no Connection: Upgrade", []string{"Connection: keep-alive"}, 400, nil},
		{"4.2.1", "no key", []string{"Sec-WebSocket-Key: "}, 400, nil},
		{"4.2.1", "a key of 15 bytes", []string{"Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1"}, 400, nil},
		{"4.2.1", "a key of 17 bytes", []string{"Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Njc="}, 400, nil},
		{"4.2.1", "a key that is no base64", []string{"Sec-WebSocket-Key: ************************"}, 400, nil},
		{"4.2.2", "version 8", []string{"Sec-WebSocket-Version: 8"}, 426, map[string]string{"Sec-Websocket-Version": "13"}},
		{"4.4", "no version", []string{"Sec-WebSocket-Version: "}, 426, map[string]string{"Sec-Websocket-Version": "13"}},
		{"4.2.2", "no Upgrade at all", []string{"Upgrade: "}, 426, map[string]string{"Upgrade": "websocket"}},
		{"10.2", "a page of the same host", []string{"Origin: http://" + addr}, 101, nil},
		{"10.2", "a page of another host", []string{"Origin: https://evil.example"}, 403, nil},
		{"10.2", "a page of no host", []string{"Origin: null"}, 403, nil},
		{"1.9", "a subprotocol, by our choice", []string{"Sec-WebSocket-Protocol: v1.heartbeat, v2.heartbeat"}, 101, map[string]string{"Sec-Websocket-Protocol": "v2.heartbeat"}},
		{"4.2.2", "a subprotocol that we do not speak", []string{"Sec-WebSocket-Protocol: mqtt"}, 101, map[string]string{"Sec-Websocket-Protocol": ""}},
		{"9.1", "permessage-deflate is not taken", []string{"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}, 101, map[string]string{"Sec-Websocket-Extensions": ""}},
	} {
		t.Run(c.section+" "+c.what, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(within))
			p := &peer{t, nc, bufio.NewReader(nc)}
			res := p.ask(request(addr, c.headers...))
			if res.StatusCode != c.status {
				t.Errorf("%s", res.Status)
			}
			for k, v := range c.want {
				if got := res.Header.Get(k); got != v {
					t.Errorf("%s: %q, and not %q", k, got, v)
				}
			}
		})
	}
	if st := s.Stats(); st.BadHandshakes != 7 || st.BadOrigins != 2 {
		t.Errorf("counted are %+v", st)
	}
}

func TestHandshakeWithAnotherMethodIsRefused(t *testing.T) {
	_, addr := serve(t, herzws.Config{Logger: quiet()})
	req, err := http.NewRequestWithContext(soon(t), http.MethodPost, "http://"+addr+"/ws", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Connection", "Upgrade")
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%s", res.Status)
	}
}
