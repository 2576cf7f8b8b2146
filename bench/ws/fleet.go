package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// fleet are the clients: they answer pings, and say nothing else.
type fleet struct {
	addr  string
	named bool
	conns []net.Conn
	lost  atomic.Int64
	gone  atomic.Bool
	hands sync.WaitGroup
}

// together is how many connect before there is a pause, so that the server's backlog does not overflow.
const together = 50

// join connects n clients.
func (f *fleet) join(ctx context.Context, n int) error {
	d := net.Dialer{KeepAlive: -1}
	for i := range n {
		nc, err := d.DialContext(ctx, "tcp", f.addr)
		if err != nil {
			return fmt.Errorf("connect client %d of %d (ulimit -n has to be greater): %w", i, n, err)
		}
		f.conns = append(f.conns, nc)
		name := ""
		if f.named {
			name = "X-Device-Id: meter-" + strconv.Itoa(i) + "\r\n"
		}
		if err = shake(nc, f.addr, name); err != nil {
			return fmt.Errorf("client %d of %d: %w", i, n, err)
		}
		f.hands.Go(func() {
			if answer(nc); !f.gone.Load() {
				f.lost.Add(1)
			}
		})
		if i%together == together-1 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

// shake makes a WebSocket of the connection.
func shake(nc net.Conn, addr, more string) error {
	_, err := io.WriteString(nc, "GET /ws HTTP/1.1\r\nHost: "+addr+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+more+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(nc, 512), nil) // the server says nothing more before its first ping, a second later
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the server answered %s", res.Status)
	}
	return nil
}

// answer sends a pong for each ping, which are empty, until the connection ends.
func answer(nc net.Conn) {
	var b [64]byte
	pong := []byte{0x8a, 0x80, 1, 2, 3, 4}
	for have := 0; ; {
		n, err := nc.Read(b[have:])
		if err != nil {
			return
		}
		for have += n; have >= 2; have -= 2 {
			if b[0] != 0x89 || b[1] != 0 {
				return
			}
			if _, err = nc.Write(pong); err != nil {
				return
			}
			copy(b[:], b[2:have])
		}
	}
}

// leave ends all.
func (f *fleet) leave() {
	f.gone.Store(true)
	for _, nc := range f.conns {
		_ = nc.Close()
	}
	f.hands.Wait()
}
