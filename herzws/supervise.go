package herzws

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"herz.example/herz/guard"
)

// Supervise is the keep-alive of a client of another library: it pings every Interval and gives each ping Grace to be answered. It returns the error
// of the first that was not, and nil when ctx ends; the caller then closes the connection. For coder/websocket:
//
//	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: herzws.HTTPClient(herzws.NewDialer(guard.Options{}))})
//	go func() { errs <- herzws.Supervise(ctx, c.Ping, herzws.Heartbeat{}) }() // beside it somebody has to read c
//
// For gorilla/websocket see [GorillaPing].
func Supervise(ctx context.Context, ping func(context.Context) error, h Heartbeat) error {
	h = h.withDefaults()
	for sleep(ctx, h.Interval) {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, h.Grace)
			defer cancel()
			return ping(ctx)
		}()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // who ended it knows
		}
		if err != nil {
			return fmt.Errorf("herz/herzws: the peer did not answer a ping within %v: %w", h.Grace, err)
		}
	}
	return nil
}

// GorillaConn is what GorillaPing needs of a *websocket.Conn of gorilla/websocket.
type GorillaConn interface {
	WriteControl(messageType int, data []byte, deadline time.Time) error
	SetPongHandler(h func(data string) error)
}

// gorillaPing is PingMessage of that library, the opcode of RFC 6455.
const gorillaPing = 9

// GorillaPing gives the ping of a client of gorilla/websocket, for [Supervise]. It sets the pong handler, so it is called before anybody reads; pongs
// are seen by who reads.
//
//	d := websocket.Dialer{NetDialContext: herzws.NewDialer(guard.Options{}).DialContext}
//	c, _, err := d.DialContext(ctx, url, nil)
//	ping := herzws.GorillaPing(c)
//	go func() { errs <- herzws.Supervise(ctx, ping, herzws.Heartbeat{}) }()
func GorillaPing(c GorillaConn) func(context.Context) error {
	var n atomic.Uint64
	pongs := make(chan string, 1)
	c.SetPongHandler(func(data string) error { // by the one who reads
		if data != strconv.FormatUint(n.Load(), 10) {
			return nil // nobody waits for that one
		}
		select {
		case <-pongs: // of an earlier ping, which was given up
		default:
		}
		pongs <- data
		return nil
	})
	return func(ctx context.Context) error {
		want := strconv.FormatUint(n.Add(1), 10)
		deadline, ok := ctx.Deadline()
		if !ok {
			deadline = time.Now().Add(DefaultGrace)
		}
		if err := c.WriteControl(gorillaPing, []byte(want), deadline); err != nil {
			return err
		}
		for {
			select {
			case got := <-pongs:
				if got == want {
					return nil
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// HTTPClient gives the client that coder/websocket dials with (DialOptions.HTTPClient), on guarded sockets. It keeps no connection of its own: each
// becomes a WebSocket.
func HTTPClient(d *guard.Dialer) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
}
