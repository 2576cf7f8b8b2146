package herzgrpc_test

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"herz.example/herz/herzgrpc"
)

// scold speaks as much HTTP/2 as a server needs that tells its client off for pinging too often as soon as a call comes (gRFC A8).
func scold(nc net.Conn) error {
	if _, err := io.ReadFull(nc, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := http2.NewFramer(nc, nc)
	if err := f.WriteSettings(); err != nil {
		return err
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		if h, ok := frame.(*http2.HeadersFrame); ok {
			return f.WriteGoAway(h.StreamID, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
		}
	}
}

func TestTooManyPingsAreToldWithBothNumbersOnce(t *testing.T) {
	t.Parallel()
	ln := listen(t, "127.0.0.1:0")
	done := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			err = scold(nc)
			nc.Close()
		}
		done <- err
	}()
	var said text
	c := client(t, herzgrpc.Config{ServerMinTime: time.Minute, Retries: -1, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	err := ask(within(t, patience), dial(t, c, ln.Addr().String()), "")
	must(t, <-done)
	if n := counted(t, c, unaryMethod, codes.Unavailable); n.Class != herzgrpc.TransportLost {
		t.Errorf("%+v, %v", n, err)
	}
	if n := c.Stats().TooManyPings; n != 1 {
		t.Errorf("counted %d times", n)
	}
	for _, want := range []string{"level=WARN", "too many keep-alive pings", "ping_every=1m6s", "server_min_time=1m0s", "server_default_min_time=5m0s", "hint="} {
		if strings.Count(said.String(), want) < 1 {
			t.Errorf("the log does not say %s:\n%s", want, &said)
		}
	}
	if n := strings.Count(said.String(), "too many keep-alive pings"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
