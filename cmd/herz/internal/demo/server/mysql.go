package server

import (
	"context"
	"fmt"
	"io"
	"net"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/sirupsen/logrus"
)

// Database is the name of the database of the embedded MySQL server.
const Database = "demo"

// MySQL is an embedded server that speaks MySQL's protocol.
type MySQL struct {
	listener net.Listener
	server   *server.Server
	tables   *tables
	done     chan struct{}
}

// StartMySQL starts a server on a free port of loopback. It holds values in the table Values and accepts inserts into the
// table Added.
func StartMySQL(values map[string]string) (*MySQL, error) {
	// The server writes every lost connection to the global logger; in this program those are the point and not news.
	logrus.SetOutput(io.Discard)
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the embedded MySQL server: %w", err)
	}
	t := newTables(values)
	engine := sqle.NewDefault(t)
	s, err := server.NewServer(server.Config{Protocol: "tcp", Address: l.Addr().String(), Listener: l, MaxConnections: 4096},
		engine, sql.NewContext, session, nil)
	if err != nil {
		return nil, fmt.Errorf("start the embedded MySQL server: %w", err)
	}
	m := &MySQL{listener: l, server: s, tables: t, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		_ = s.Start()
	}()
	return m, nil
}

func session(_ context.Context, c *mysql.Conn, addr string) (sql.Session, error) {
	client := sql.Client{User: c.User, Address: c.RemoteAddr().String(), Capabilities: c.Capabilities}
	return sql.NewBaseSessionWithClientServer(addr, client, c.ConnectionID), nil
}

// Addr is where the server listens.
func (m *MySQL) Addr() string { return m.listener.Addr().String() }

// DSN is a data source name of the server for go-sql-driver/mysql.
func (m *MySQL) DSN() string { return "root@tcp(" + m.Addr() + ")/" + Database }

// Counts gives how many times each of requests was executed.
func (m *MySQL) Counts(_ context.Context, requests []string) (map[string]int, error) {
	return m.tables.added.counts(requests), nil
}

// Forget frees what is kept of requests.
func (m *MySQL) Forget(_ context.Context, requests []string) error {
	m.tables.added.forget(requests)
	return nil
}

// Close stops the server and waits for its listener.
func (m *MySQL) Close() error {
	err := m.server.Close()
	<-m.done
	return err
}
