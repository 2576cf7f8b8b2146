package article

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The article's times, and the size of its pool.
const (
	Size             = 10
	HeartbeatEvery   = 500 * time.Millisecond
	HeartbeatTimeout = 3200 * time.Millisecond
)

// Dial makes the connections of a pool.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Pool lends connections to a Redis server.
type Pool struct {
	dial Dial
	addr string
	free chan *Conn
	all  []*Conn
	stop chan struct{} // closed when the pool is
	once sync.Once     // of that
	wait sync.WaitGroup
}

// Conn is one connection of a pool.
type Conn struct {
	pool  *Pool
	stale atomic.Bool

	// mu guards the stream. Its holder may wait for an answer, at most HeartbeatTimeout.
	mu     sync.Mutex
	reader *bufio.Reader

	// socketMu guards socket, so that Close need not wait for an answer. Nothing else happens under it.
	socketMu sync.Mutex
	socket   net.Conn
}

// Open dials all connections of a pool to the Redis server at addr.
func Open(ctx context.Context, addr string, dial Dial) (*Pool, error) {
	p := &Pool{dial: dial, addr: addr, free: make(chan *Conn, Size), stop: make(chan struct{})}
	for range Size {
		c := &Conn{pool: p}
		if err := c.connect(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("fill the pool: %w", err), p.Close())
		}
		p.all = append(p.all, c)
		p.free <- c
	}
	for i, c := range p.all {
		p.wait.Add(1)
		go c.heartbeat(time.Duration(i) * HeartbeatEvery / Size)
	}
	return p, nil
}

// Do sends a command and gives its answer. An answer that cannot be read is "", and no error.
func (p *Pool) Do(ctx context.Context, command ...string) (string, error) {
	var c *Conn
	select {
	case c = <-p.free:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { p.free <- c }() // flagged or not
	return c.do(ctx, command)
}

// Active is the number of connections that the pool believes to have.
func (p *Pool) Active() int { return len(p.all) }

// Stale is the number of connections that are flagged.
func (p *Pool) Stale() int {
	n := 0
	for _, c := range p.all {
		if c.stale.Load() {
			n++
		}
	}
	return n
}

// Close closes all connections and waits for the heartbeats.
func (p *Pool) Close() error {
	p.once.Do(func() { close(p.stop) })
	for _, c := range p.all {
		c.hangUp()
	}
	p.wait.Wait()
	return nil
}

func (c *Conn) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, HeartbeatTimeout)
	defer cancel()
	nc, err := c.pool.dial(ctx, "tcp", c.pool.addr)
	if err != nil {
		return err
	}
	c.socketMu.Lock()
	defer c.socketMu.Unlock()
	select {
	case <-c.pool.stop:
		return errors.Join(net.ErrClosed, nc.Close())
	default:
	}
	c.socket, c.reader = nc, bufio.NewReader(nc)
	return nil
}

func (c *Conn) hangUp() {
	c.socketMu.Lock()
	defer c.socketMu.Unlock()
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

func (c *Conn) do(ctx context.Context, command []string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.send(command); err != nil {
		c.hangUp()
		if err = c.connect(ctx); err != nil {
			return "", err
		}
		if err = c.send(command); err != nil {
			return "", err
		}
	}
	answer, err := c.receive()
	if err != nil {
		return "", nil //nolint:nilerr // the article's mistake: the caller sees an empty answer, and the connection goes back
	}
	return answer, nil
}

func (c *Conn) send(command []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(command))
	for _, word := range command {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	_, err := c.socket.Write([]byte(b.String()))
	return err
}

// receive reads the next answer, whoever's it is.
func (c *Conn) receive() (string, error) {
	if err := c.socket.SetReadDeadline(time.Now().Add(HeartbeatTimeout)); err != nil {
		return "", err
	}
	line, err := c.line()
	if err != nil || line == "" {
		return "", err
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '$':
		if rest == "-1" {
			return "", nil
		}
		return c.line()
	case '-':
		return "", errors.New(rest)
	default:
		return rest, nil
	}
}

func (c *Conn) line() (string, error) {
	s, err := c.reader.ReadString('\n')
	return strings.TrimSuffix(s, "\r\n"), err
}

// heartbeat pings the connection when nobody uses it, and flags it when the PONG does not come. Nothing reads the flag.
func (c *Conn) heartbeat(first time.Duration) {
	defer c.pool.wait.Done()
	t := time.NewTimer(first)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.pool.stop:
			return
		}
		if c.mu.TryLock() {
			err := c.send([]string{"PING"})
			if err == nil {
				_, err = c.receive()
			}
			c.stale.Store(err != nil)
			c.mu.Unlock()
		}
		t.Reset(HeartbeatEvery)
	}
}
