//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"herz.example/herz/herzws"
)

// maxMessage has room for the greatest message of the suite, of 16 MiB.
const maxMessage = 32 << 20

// within bounds a case.
const within = 5 * time.Minute

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// servers has the suite be a client of both engines.
func (s *suite) servers(ctx context.Context, log io.Writer) ([]agent, error) {
	var targets []target
	for name, e := range map[string]herzws.Engine{"server, portable": herzws.Portable, "server, epoll": herzws.Epoll} {
		addr, end, err := serve(e)
		if err != nil {
			return nil, err
		}
		defer end()
		targets = append(targets, target{name, "ws://" + addr + "/ws"})
	}
	const mode = "fuzzingclient"
	cmd, err := s.start(ctx, mode, spec{Servers: targets}, log)
	if err != nil {
		return nil, err
	}
	if err = cmd.Wait(); err != nil {
		return nil, err
	}
	return s.results(mode)
}

// serve starts a server that sends messages back. End ends it.
func serve(e herzws.Engine) (addr string, end func(), err error) {
	ws := &herzws.Server{Config: herzws.Config{
		Engine: e, Logger: quiet(), MaxMessage: maxMessage, Slow: herzws.SlowWait, Spread: -1,
		Failing: herzws.Failing{Threshold: -1}, // the suite breaks the rules all the time
		OnMessage: func(c *herzws.Conn, kind herzws.Kind, payload []byte) {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			_ = c.Send(ctx, kind, payload) // the suite sees whether it came
		},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	web := &http.Server{Handler: ws, ReadHeaderTimeout: within}
	go func() { _ = web.Serve(l) }() // until Close
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = ws.Shutdown(ctx) // the suite has gone
		_ = web.Close()
	}, nil
}

// agentName is what the client calls itself.
const agentName = "client"

// client has the suite be the server of our client, which asks for one case after the other.
func (s *suite) client(ctx context.Context, log io.Writer) ([]agent, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	const mode = "fuzzingserver"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, err := s.start(ctx, mode, spec{URL: "ws://" + addr}, log)
	if err != nil {
		return nil, err
	}
	err = askAll(ctx, addr)
	cancel()       // it serves until it is ended,
	_ = cmd.Wait() // which it tells as a failure
	if err != nil {
		return nil, err
	}
	return s.results(mode)
}

// askAll runs all cases, and has the results written.
func askAll(ctx context.Context, addr string) error {
	if err := await(ctx, addr); err != nil {
		return err
	}
	count := 0
	if err := converse(ctx, addr, "/getCaseCount", func(b []byte) (err error) { count, err = strconv.Atoi(string(b)); return err }); err != nil {
		return err
	}
	if count == 0 {
		return fmt.Errorf("%w: the suite has no case that --cases names", errUsage)
	}
	for n := 1; n <= count; n++ {
		if err := converse(ctx, addr, fmt.Sprintf("/runCase?case=%d&agent=%s", n, url.QueryEscape(agentName)), nil); err != nil {
			return fmt.Errorf("case %d of %d: %w", n, count, err)
		}
	}
	return converse(ctx, addr, "/updateReports?agent="+url.QueryEscape(agentName), nil)
}

// converse connects and sends back what comes, or gives it to take, until the suite ends the connection.
func converse(ctx context.Context, addr, path string, take func([]byte) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	self, over, taken := make(chan *herzws.Client, 1), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	cfg := herzws.ClientConfig{
		URL: "ws://" + addr + path, Logger: quiet(), MaxMessage: maxMessage, Slow: herzws.SlowWait, Backoff: time.Hour, BackoffMax: time.Hour,
	}
	cfg.OnMessage = func(kind herzws.Kind, payload []byte) {
		if take != nil {
			taken <- take(payload) // one message answers the question
			return
		}
		c := <-self
		_ = c.Send(ctx, kind, payload) // the suite sees whether it came
		self <- c
	}
	cfg.OnState = func(mode herzws.Mode, _ error) {
		if mode == 0 {
			once.Do(func() { close(over) })
		}
	}
	c, err := herzws.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	self <- c
	select {
	case <-over:
		if take != nil {
			err = answer(taken)
		}
	case <-ctx.Done():
		err = fmt.Errorf("the suite did not end %s: %w", path, ctx.Err())
	}
	_ = c.Close(context.WithoutCancel(ctx)) // CloseTimeout bounds it, and nothing of it is left afterwards
	return err
}

// answer is what became of the message, if one came.
func answer(taken <-chan error) error {
	select {
	case err := <-taken:
		return err
	default:
		return errors.New("the suite ended the connection without an answer")
	}
}
