package herzsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"herz.example/herz/guard"
)

// Driver is what a module such as herzmysql tells about one database/sql driver.
type Driver struct {
	// Names are the names under which [Open] knows the driver. Required.
	Names []string
	// Connector makes the driver's connector for a data source name, with every socket from a guard.Dialer with
	// these options. It returns an error for a name that the driver cannot parse. Required.
	Connector func(dsn string, o guard.Options) (driver.Connector, error)
	// Owns reports whether d is this driver; it is asked about connectors given to [OpenConnector]. Nil: never.
	Owns func(d driver.Driver) bool
	// Hides reports whether err is one behind which the driver hides that a read failed, so that the facts of the
	// guard are put in its place. Nil: the driver hides nothing, and result sets are passed on as they are.
	Hides func(err error) bool
	// BadConnProves says that driver.ErrBadConn from this driver proves that nothing was executed, because the driver returns
	// it only where nothing was written or after a complete answer. False: it is believed only where the guard
	// agrees; lib/pq, for one, returns it for lost answers.
	BadConnProves bool
	// EndsLate says that the driver may go on waiting after the end of a context, as lib/pq does where its cancel request is
	// not answered. Its socket is ended a quarter of a second later. False: the driver ends its calls itself.
	EndsLate bool
	// Identity asks which server answers on a connection, and in which role. c is a driver.Conn of this driver, or the Conn of a [Probe], and nobody
	// else uses it meanwhile. The time is that of ctx. [AskServer] helps. Nil: servers are not asked.
	Identity func(ctx context.Context, c any) (Server, error)
	// Socket gives the socket under c, a driver.Conn of this driver, or a TLS connection over it. It is asked where connections are not wrapped: see [Borrower].
	// Nil: the socket cannot be told, so that [Retry] takes nothing for proved on such a connection.
	Socket func(c any) net.Conn
	// Query runs the query of [WithValidationQuery] and reads its answer to the end. c is as for Identity, and an answer without a row is an
	// error. Nil: the query is run through the interfaces of database/sql/driver, for which c has to be a driver.Conn.
	Query func(ctx context.Context, c any, query string) error
	// WrongRole reports whether err is a server's complete answer that it refuses to write because of its role, such as SQLSTATE 25006 of
	// PostgreSQL or error 1290 of MySQL. It need not tell that from a transaction which was begun as read-only: the server is asked. Nil: no error
	// is.
	WrongRole func(err error) bool
}

// Probe is what can be asked of a connection.
type Probe struct {
	// Ping asks for a sign of life. Nil: the connection cannot be asked.
	Ping func(ctx context.Context) error
	// Conn is the connection as Driver.Identity and Driver.Query take it. Nil: it is asked neither.
	Conn any
	// Checked is how long ago Hooks.Check was called last for this connection, as the driver has measured it for itself. 0: it has not, and the
	// clock is read.
	Checked time.Duration
}

// Hooks are what a [Borrower] calls.
type Hooks struct {
	// Check checks a connection before it is used again. It belongs to the moment when database/sql resets a session. nc is the connection's
	// socket or a TLS connection over it. An error is driver.ErrBadConn to errors.Is, and means that nothing was sent for the caller and
	// the connection must go. Nil: connections are checked elsewhere, and the driver should not ping.
	Check func(ctx context.Context, nc net.Conn, p Probe) error
	// Refused tells that a server refused a write because of its role; see Driver.WrongRole. Nil: nobody wants to know.
	Refused func(nc net.Conn)
	// Lost tells of the error that an exchange ends with, before the driver passes it on as it is or as part of another. Nil: nobody wants to know.
	Lost func(e *guard.AmbiguousError)
}

// Borrower is a connector that runs Herz's check in a hook of its driver. Its connections need no wrapper, so that
// (*sql.Conn).Raw gives the driver's own type.
type Borrower interface {
	driver.Connector
	// WithHooks returns a connector that calls the hooks.
	WithHooks(h Hooks) driver.Connector
}

var registry struct {
	// mu guards drivers. Nothing is called while it is held but the Owns functions, which only look at a type.
	mu      sync.RWMutex
	drivers []Driver
}

// Register makes a driver known to [Open]. It is called by the init function of an adapter module and panics on a
// Driver that cannot work, like sql.Register.
func Register(d Driver) {
	if len(d.Names) == 0 || d.Connector == nil {
		panic("herz/herzsql: Register needs Names and Connector") //nolint:forbidigo // a program error at start, as in sql.Register
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	registry.drivers = append(registry.drivers, d)
}

func driverNamed(name string) (Driver, error) {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	var known []string
	for _, d := range registry.drivers {
		if slices.Contains(d.Names, name) {
			return d, nil
		}
		known = append(known, d.Names...)
	}
	return Driver{}, unknownDriver(name, known)
}

func driverOwning(inner driver.Driver) Driver {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	for _, d := range registry.drivers {
		if d.Owns != nil && d.Owns(inner) {
			return d
		}
	}
	return Driver{}
}

// adapters are the modules of this repository, by the names of their drivers, so that a missing import is a sentence
// that can be pasted.
var adapters = map[string]string{
	"mysql":    "herz.example/herz/herzmysql",
	"pgx":      "herz.example/herz/herzpgx",
	"pgx/v5":   "herz.example/herz/herzpgx",
	"postgres": "herz.example/herz/herzpq",
}

func unknownDriver(name string, known []string) error {
	if module, ok := adapters[name]; ok {
		return fmt.Errorf("herz/herzsql: driver %q has no guard in this program: add `import _ %q`", name, module)
	}
	hint := "; no adapter is imported"
	if len(known) > 0 {
		hint = "; known are " + strings.Join(known, ", ")
	}
	if slices.Contains(sql.Drivers(), name) {
		return fmt.Errorf("herz/herzsql: driver %q has no adapter%s: use OpenConnector with a connector whose dial hook is a guard.Dialer", name, hint)
	}
	return fmt.Errorf("herz/herzsql: unknown driver %q%s", name, hint)
}
