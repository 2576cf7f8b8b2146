//go:build linux

package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Bounds of the waits.
const (
	readyTime   = 30 * time.Second
	installTime = 60 * time.Second
	endTime     = 10 * time.Second
	pollEvery   = 10 * time.Millisecond
)

// Kind is a database product.
type Kind uint8

// The products.
const (
	MariaDB Kind = iota
	PostgreSQL
)

// Kinds are all products.
var Kinds = []Kind{MariaDB, PostgreSQL}

// String is the name of the product.
func (k Kind) String() string { return k.product().name }

// Driver is the name of its database/sql driver.
func (k Kind) Driver() string { return k.product().driver }

func (k Kind) product() *product {
	if k == PostgreSQL {
		return &postgres
	}
	return &mariadb
}

// product is how one kind of server is handled. Programs are looked for in PATH and in bins.
type product struct {
	name, driver string
	accounts     []string // under which root starts it, the first that exists
	bins         []string // patterns of folders
	installer    string   // the program that prepares data
	server       string   // the program that serves
	install      func(a *account, installer, data string) error
	arguments    func(s *Server) []string
	dsn          func(s *Server) string
}

// Options say how a server is started. The zero value is good: on loopback, with default settings.
type Options struct {
	// IP is the address it listens on. Empty: 127.0.0.1.
	IP string
	// Enter runs the start of the server, for instance inside a network namespace. Nil: here.
	Enter func(start func() error) error
	// Settings are the server's own, as "name=value".
	Settings []string
}

// Server is a running database server.
type Server struct {
	Kind Kind
	Port int

	opt     Options
	account *account
	dir     string
	proc    *process
}

// Start starts a server and stops it when the test ends.
func Start(t testing.TB, k Kind, o Options) *Server {
	t.Helper()
	if o.IP == "" {
		o.IP = "127.0.0.1"
	}
	if o.Enter == nil {
		o.Enter = func(start func() error) error { return start() }
	}
	a, err := accountOf(k)
	if err != nil {
		t.Fatalf("server: %v", err)
	}
	dir, err := a.folder(k.String())
	if err != nil {
		t.Fatalf("server: %v", err)
	}
	s := &Server{Kind: k, opt: o, account: a, dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v said: %s", k, tail(s.log()))
		}
		if err := errors.Join(s.Kill(), os.RemoveAll(dir)); err != nil {
			t.Errorf("server: stop %v: %v", k, err)
		}
	})
	if err := copyTemplate(a, k, s.data()); err != nil {
		t.Fatalf("server: %v", err)
	}
	if err := s.startOnFreePort(); err != nil {
		t.Fatalf("server: %v", err)
	}
	return s
}

// DSN is the data source name for the driver of the kind.
func (s *Server) DSN() string { return s.Kind.product().dsn(s) }

// Addr is the host and port it listens on.
func (s *Server) Addr() string { return net.JoinHostPort(s.opt.IP, strconv.Itoa(s.Port)) }

// Kill ends the server and all its processes by SIGKILL and returns when they are gone. It may be called twice.
func (s *Server) Kill() error {
	if s.proc == nil {
		return nil
	}
	p := s.proc
	s.proc = nil
	return p.kill()
}

// Restart starts a killed server again, on the same port and data, and returns when it answers.
func (s *Server) Restart() error {
	if s.proc != nil {
		return errors.New("server: restart: it runs; kill it first")
	}
	return s.start()
}

// Freeze stops all processes of the server where they are, and returns when they stand still. The kernel still acknowledges
// what clients send.
func (s *Server) Freeze() error { return s.proc.freeze() }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.proc.signalAll(syscall.SIGCONT) }

// UIDs are the accounts that the processes of the server run under.
func (s *Server) UIDs() ([]uint32, error) {
	var uids []uint32
	for _, pid := range family(s.proc.cmd.Process.Pid) {
		info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid)))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		uids = append(uids, info.Sys().(*syscall.Stat_t).Uid) //nolint:forcetypeassert // always so on Linux
	}
	return uids, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

// startOnFreePort tries ports below the range that the kernel gives to outgoing connections, so that nobody takes the
// port while the server is down.
func (s *Server) startOnFreePort() error {
	var err error
	for range 5 {
		s.Port = 15000 + rand.IntN(15000)
		err = s.opt.Enter(func() error {
			ln, err := net.Listen("tcp4", s.Addr())
			if err != nil {
				return err
			}
			return ln.Close()
		})
		if err == nil {
			if err = s.start(); err == nil {
				return nil
			}
		}
	}
	return fmt.Errorf("start %v: %w", s.Kind, err)
}

func (s *Server) start() error {
	p := s.Kind.product()
	path, err := p.program(p.server)
	if err != nil {
		return err
	}
	err = s.opt.Enter(func() (err error) {
		s.proc, err = launch(s.account, path, p.arguments(s), s.dir, s.log())
		return err
	})
	if err != nil {
		return err
	}
	if err := s.awaitReady(); err != nil {
		return errors.Join(fmt.Errorf("%w: %s", err, tail(s.log())), s.Kill())
	}
	return nil
}

// awaitReady waits until the server answers a query.
func (s *Server) awaitReady() error {
	db, err := sql.Open(s.Kind.Driver(), s.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxIdleConns(-1)
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	for {
		if err = ask(ctx, db); err == nil {
			return nil
		}
		pause := time.NewTimer(pollEvery)
		select {
		case <-pause.C:
		case <-s.proc.ended:
			pause.Stop()
			return fmt.Errorf("%v ended before it answered", s.Kind)
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%v did not answer within %v: %w", s.Kind, readyTime, err)
		}
	}
}

func ask(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var one int
	return db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}
