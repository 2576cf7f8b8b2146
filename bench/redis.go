package main

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// memory is a connection whose peer answers every command at once, without a system call.
type memory struct{ answer bytes.Buffer }

func (m *memory) Write(b []byte) (int, error) {
	for line := range bytes.SplitSeq(b, []byte("\r\n")) {
		switch {
		case bytes.EqualFold(line, []byte("ping")):
			m.answer.WriteString("+PONG\r\n")
		case bytes.EqualFold(line, []byte("hello")):
			m.answer.WriteString("-ERR unknown command\r\n")
		}
	}
	return len(b), nil
}

func (m *memory) Read(b []byte) (int, error)     { return m.answer.Read(b) }
func (*memory) Close() error                     { return nil }
func (*memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*memory) SetDeadline(time.Time) error      { return nil }
func (*memory) SetReadDeadline(time.Time) error  { return nil }
func (*memory) SetWriteDeadline(time.Time) error { return nil }

// openRedis takes a connection as every user of go-redis does: with a command. Its figures therefore have one PING in them.
func openRedis(size int) (lender, error) {
	client := redis.NewClient(&redis.Options{
		Dialer:          func(context.Context, string, string) (net.Conn, error) { return &memory{}, nil },
		PoolSize:        size,
		PoolTimeout:     30 * time.Second,
		Protocol:        2,
		DisableIdentity: true,
		MaxRetries:      -1,
	})
	acquire := func(ctx context.Context) (*redis.Conn, error) {
		c := client.Conn()
		if err := c.Ping(ctx).Err(); err != nil {
			_ = c.Close()
			return nil, err
		}
		return c, nil
	}
	bare := func(ctx context.Context, j *job) error {
		n := int64(0)
		for !j.stop.Load() {
			c := client.Conn()
			if err := c.Ping(ctx).Err(); err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
			n++
		}
		j.pairs = n
		return nil
	}
	return lend(acquire, (*redis.Conn).Close, bare, client.Close), nil
}
