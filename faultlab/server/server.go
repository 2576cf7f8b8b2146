//go:build linux

package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of the waits.
const (
	readyTime   = 30 * time.Second
	installTime = 60 * time.Second
	endTime     = 10 * time.Second
	pollEvery   = 10 * time.Millisecond
)

// Most bounds how many servers one process has open at once.
const Most = 64

var running atomic.Int32

// Server is a running server.
type Server struct {
	Kind Kind
	Port int

	opt     Options
	account *account
	dir     string
	proc    *process
	paper   *paper // nil without TLS

	end    sync.Once
	endErr error
}

// Open starts a server.
func Open(k Kind, o Options) (*Server, error) {
	if int(k) >= len(products) {
		return nil, fmt.Errorf("server: kind %d is none", k)
	}
	o = o.withDefaults()
	if err := o.check(k.product()); err != nil {
		return nil, fmt.Errorf("server: options: %w", err)
	}
	a, err := accountOf(k)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	dir, err := a.folder(k.String())
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s := &Server{Kind: k, opt: o, account: a, dir: dir}
	if n := running.Add(1); n > Most {
		err = fmt.Errorf("%d servers run, which is the most for one process: close some", Most)
	}
	if err == nil {
		err = s.prepare()
	}
	if err == nil {
		err = s.startOnFreePort()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server: %w", err), s.Close())
	}
	return s, nil
}

// prepare makes the data and the certificate.
func (s *Server) prepare() error {
	if s.opt.TLS {
		if err := s.certify(); err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
	}
	if s.opt.Follow != nil {
		return s.followPostgres()
	}
	if s.Kind.product().installer != "" {
		return copyTemplate(s.account, s.Kind, s.data())
	}
	return s.account.own(s.data(), os.Mkdir(s.data(), 0o700))
}

// Close ends the server and removes all it had. It may be called twice.
func (s *Server) Close() error {
	s.end.Do(func() {
		s.endErr = errors.Join(s.Kill(), os.RemoveAll(s.dir))
		s.decertify()
		running.Add(-1)
		if s.endErr != nil {
			s.endErr = fmt.Errorf("server: stop %v: %w", s.Kind, s.endErr)
		}
	})
	return s.endErr
}

// Addr is the host and port that clients dial.
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
func (s *Server) Freeze() error {
	if s.proc == nil {
		return errors.New("server: freeze: it does not run")
	}
	return s.proc.freeze()
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error {
	if s.proc == nil {
		return errors.New("server: thaw: it does not run")
	}
	return s.proc.signalAll(syscall.SIGCONT)
}

// Log is the end of what the server wrote.
func (s *Server) Log() string { return tail(s.log()) }

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
