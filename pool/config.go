package pool

import (
	"context"

	"herz.example/herz/guard"
)

// Config says what a pool lends and how. Only Dial is required. No field but Limits may change while the pool runs.
type Config[T any] struct {
	// Name is the pool's name in events, errors and on the board. Empty: DefaultPool.
	Name string
	// Protocol is what is spoken over the connections, as the attribute network.protocol.name of the OpenTelemetry conventions has it: "http". Exporters
	// take a pool that says so for none of a database. Empty: it is not told.
	Protocol string
	// Dial makes a connection. It is called on a goroutine of its own, under a context that ends after
	// Limits.HeartbeatTimeout or when the pool closes, and that carries a [guard.Capture], so that the pool finds the guarded
	// socket under the connection. Every error means that there is no connection.
	Dial func(ctx context.Context) (T, error)
	// Close ends a connection. Nil: T's own Close method if it has one. Its context ends after Limits.HeartbeatTimeout;
	// after that a guarded socket is aborted.
	Close func(ctx context.Context, c T) error
	// Ping asks the peer for a sign of life by the protocol's own means. Nil: none; only the kernel is asked. An error
	// means that the connection is destroyed.
	Ping func(ctx context.Context, c T) error
	// Reset prepares a returned connection for its next user, in the background. Nil: none. An error means that
	// the connection is destroyed.
	Reset func(ctx context.Context, c T) error
	// Identity tells which server, in which role, is at the other end; it is asked after each dial and heartbeat. Nil:
	// never. When the answer for one remote address changes, every older connection is stale. An error means that the
	// connection is destroyed.
	Identity func(ctx context.Context, c T) (string, error)
	// Shares tells how many leases one connection can take at the same time, now (HTTP/2 streams). It is asked
	// at each loan. Nil: 1, which is the fast path.
	Shares func(c T) int
	// Guard finds the guarded socket under a connection. Nil: the pool finds it by itself, when T is or wraps a
	// [guard.Conn] or when exactly one guarded socket dialled under Dial's context is open as Dial returns.
	Guard func(c T) *guard.Conn
	// Limits are the numbers that govern the pool; see [Pool.SetLimits].
	Limits Limits
	// Observer is told of every event, on the goroutine where it happens and with no lock held. It must be quick and must
	// not call the pool. One that can do without the events of loans says so, see [Selective]. Nil: none.
	Observer Observer
}
