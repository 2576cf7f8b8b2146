package herzsql

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// Open opens a database in guarded mode: database/sql's own pool, with the guard under every connection. driverName and
// dsn are those of sql.Open; the driver's adapter must be imported, for "mysql" by
//
//	import _ "herz.example/herz/herzmysql"
//
// Open does not dial. It returns an error for an unknown driver, a name that the driver cannot parse, and limits that
// cannot work.
func Open(driverName, dsn string, opts ...Option) (*sql.DB, error) {
	d, s, inner, err := prepareOpen(driverName, dsn, opts)
	if err != nil {
		return nil, err
	}
	return openGuarded(inner, s, d)
}

// OpenConnector opens a database in guarded mode for users without a data source name: tokens of a cloud, TLS of their
// own. The connector must dial through a guard (herzmysql.Guard, herzpgx.Connector, or guard.Dialer in its dial hook);
// a connection without one is still pinged when it was idle, but is blind to what its socket knows.
func OpenConnector(c driver.Connector, opts ...Option) (*sql.DB, error) {
	d, s, err := prepareConnector(c, opts)
	if err != nil {
		return nil, err
	}
	return openGuarded(c, s, d)
}

// OpenPooled opens a database in pooled mode: Herz's own pool under a genuine *sql.DB, for strict FIFO fairness, minimum
// idle, heartbeats and leak tracing. Do not set limits on the *sql.DB; [SetLimits] changes those of the pool.
func OpenPooled(driverName, dsn string, opts ...Option) (*sql.DB, error) {
	d, s, inner, err := prepareOpen(driverName, dsn, opts)
	if err != nil {
		return nil, err
	}
	return openPooled(inner, s, d)
}

// OpenPooledConnector is OpenPooled for users without a data source name; see [OpenConnector].
func OpenPooledConnector(c driver.Connector, opts ...Option) (*sql.DB, error) {
	d, s, err := prepareConnector(c, opts)
	if err != nil {
		return nil, err
	}
	return openPooled(c, s, d)
}

func prepareOpen(driverName, dsn string, opts []Option) (Driver, *settings, driver.Connector, error) {
	d, err := driverNamed(driverName)
	if err != nil {
		return d, nil, nil, err
	}
	s, err := newSettings(driverName, opts)
	if err != nil {
		return d, nil, nil, err
	}
	inner, err := d.Connector(dsn, s.guard)
	if err != nil {
		return d, nil, nil, fmt.Errorf("herz/herzsql: open %q: %w", driverName, err)
	}
	return d, s, inner, nil
}

func prepareConnector(c driver.Connector, opts []Option) (Driver, *settings, error) {
	if c == nil {
		return Driver{}, nil, errors.New("herz/herzsql: the connector is nil")
	}
	s, err := newSettings("DefaultPool", opts)
	return driverOwning(c.Driver()), s, err
}

// Unwrap gives the driver's own connection inside (*sql.Conn).Raw, in both modes. What Herz did not wrap is returned as
// it is.
//
//	err := c.Raw(func(driverConn any) error {
//		own := herzsql.Unwrap(driverConn)
//		…
//	})
func Unwrap(driverConn any) any {
	for {
		u, ok := driverConn.(interface{ Unwrap() driver.Conn })
		if !ok {
			return driverConn
		}
		driverConn = u.Unwrap()
	}
}
