package herzhttp_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"herz.example/herz/herzhttp"
)

// frame is one HTTP/2 frame (RFC 9113 §4.1).
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// Kinds and flags of frames (RFC 9113 §6).
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway = 0, 1, 3, 4, 6, 7

	flagAck, flagEndStream, flagEndHeaders = 1, 1, 4

	refusedStream = 7 // error code
)

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1)}
	f.payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(r, f.payload)
	return f, err
}

func (f frame) bytes() []byte {
	n := len(f.payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), f.kind, f.flags} //nolint:gosec // three bytes of a small number
	b = binary.BigEndian.AppendUint32(b, f.stream)
	return append(b, f.payload...)
}

// answer200 is the head of an answer without a body: ":status: 200" is entry 8 of HPACK's static table (RFC 7541 appendix A).
func answer200(stream uint32) frame {
	return frame{frameHeaders, flagEndHeaders | flagEndStream, stream, []byte{0x88}}
}

func goAway(last uint32) frame {
	return frame{frameGoAway, 0, 0, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), 0)}
}

func reset(stream, code uint32) frame {
	return frame{frameReset, 0, stream, binary.BigEndian.AppendUint32(nil, code)}
}

// peer is one connection of a rawServer.
type peer struct {
	n  int // of the connection, from 1
	nc net.Conn
	mu sync.Mutex // guards writes
}

func (p *peer) send(fs ...frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range fs {
		_, _ = p.nc.Write(f.bytes())
	}
}

// rawServer speaks HTTP/2 without TLS as a test wants it: each frame that a client sends is given to handle, on the goroutine that reads.
func rawServer(t *testing.T, handle func(p *peer, f frame)) (url string, cfg herzhttp.Config) {
	t.Helper()
	return rawServerWith(t, func(p *peer) { p.send(frame{kind: frameSettings}) }, handle)
}

// rawServerWith is a rawServer that greets by itself.
func rawServerWith(t *testing.T, greet func(p *peer), handle func(p *peer, f frame)) (url string, cfg herzhttp.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			wg.Go(func() { serveFrames(&peer{n: n, nc: nc}, greet, handle) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	base := &http.Transport{Protocols: new(http.Protocols)}
	base.Protocols.SetUnencryptedHTTP2(true)
	return "http://" + l.Addr().String(), herzhttp.Config{Base: base}
}

// preface is what a client begins with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

func serveFrames(p *peer, greet func(p *peer), handle func(p *peer, f frame)) {
	defer p.nc.Close()
	in := bufio.NewReader(p.nc)
	if got, err := io.ReadAll(io.LimitReader(in, int64(len(preface)))); err != nil || string(got) != preface {
		return
	}
	greet(p)
	for {
		f, err := readFrame(in)
		if err != nil {
			return
		}
		if f.kind == frameSettings && f.flags&flagAck == 0 {
			p.send(frame{kind: frameSettings, flags: flagAck})
			continue
		}
		handle(p, f)
	}
}

// post sends a POST with a body that can be read again.
func post(t testing.TB, tr http.RoundTripper, url, body string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return do(tr, req)
}

// do sends a request and reads its answer.
func do(tr http.RoundTripper, req *http.Request) error {
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
