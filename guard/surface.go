package guard

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

//go:generate go run surface_gen.go

// Surface is what a library should be given: a net.Conn with exactly those optional methods that the guarded connection
// has. Libraries look for them: without CloseWrite http.Server answers by RST, without SyscallConn go-sql-driver/mysql
// and go-redis skip their checks. What they send and receive is counted.
//
// Known are the methods of *net.TCPConn, of *net.UnixConn (without its message methods) and of *tls.Conn as whole sets, and
// any combination of ReadFrom, WriteTo, CloseWrite, CloseRead, SyscallConn and NetConn.
func (c *Conn) Surface() net.Conn { return c.surface }

// The sets of optional methods that connections have.
type (
	socketMethods interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
		File() (*os.File, error)
	}
	closeWriter interface{ CloseWrite() error }
	closeReader interface{ CloseRead() error }
	netConner   interface{ NetConn() net.Conn }
	tcpMethods  interface {
		SetKeepAlive(on bool) error
		SetKeepAlivePeriod(d time.Duration) error
		SetKeepAliveConfig(config net.KeepAliveConfig) error
		SetLinger(sec int) error
		SetNoDelay(on bool) error
		MultipathTCP() (bool, error)
	}
	tlsState   interface{ ConnectionState() tls.ConnectionState }
	tlsMethods interface {
		tlsState
		Handshake() error
		HandshakeContext(ctx context.Context) error
		VerifyHostname(host string) error
		OCSPResponse() []byte
	}
	tcpLike interface {
		io.ReaderFrom
		io.WriterTo
		closeWriter
		closeReader
		syscall.Conn
		socketMethods
		tcpMethods
	}
	unixLike interface {
		closeWriter
		closeReader
		syscall.Conn
		socketMethods
	}
	tlsLike interface {
		closeWriter
		netConner
		tlsMethods
	}
)

// The parts of a surface. Each adds the methods of one set to the struct that embeds it.
type (
	readsFrom   struct{ g *Conn }
	writesTo    struct{ g *Conn }
	closesWrite struct{ g *Conn }
	closesRead  struct{ g *Conn }
	hasSyscall  struct{ g *Conn }
	hasNetConn  struct{ g *Conn }
	setsTCP     struct{ g *Conn }

	tcpSurface struct {
		*Conn
		readsFrom
		writesTo
		closesWrite
		closesRead
		hasSyscall
		setsTCP
		socketMethods
	}
	unixSurface struct {
		*Conn
		closesWrite
		closesRead
		hasSyscall
		socketMethods
	}
	tlsSurface struct {
		*Conn
		closesWrite
		hasNetConn
		tlsMethods
	}
)

func newSurface(c *Conn) net.Conn {
	switch in := c.inner.(type) {
	case tlsLike:
		return &tlsSurface{c, closesWrite{c}, hasNetConn{c}, in}
	case tcpLike:
		return &tcpSurface{c, readsFrom{c}, writesTo{c}, closesWrite{c}, closesRead{c}, hasSyscall{c}, setsTCP{c}, in}
	case unixLike:
		return &unixSurface{c, closesWrite{c}, closesRead{c}, hasSyscall{c}, in}
	default:
		return mixedSurface(c)
	}
}

func (p readsFrom) ReadFrom(r io.Reader) (int64, error) { return p.g.readFrom(r) }

func (p writesTo) WriteTo(w io.Writer) (int64, error) { return p.g.writeTo(w) }

// CloseWrite closes our sending side. The connection can still be read, and cannot be lent any more.
func (p closesWrite) CloseWrite() error {
	p.g.wroteShut.Store(true)
	err := p.g.inner.(closeWriter).CloseWrite()
	if err != nil {
		p.g.wroteShut.Store(false)
	}
	return err
}

// CloseRead closes our receiving side. The kernel reports it as it reports the peer's FIN, so the guard must know.
func (p closesRead) CloseRead() error {
	p.g.readShut.Store(true)
	err := p.g.inner.(closeReader).CloseRead()
	if err != nil {
		p.g.readShut.Store(false)
	}
	return err
}

// SyscallConn gives raw access. What is sent or read by it is not counted; libraries use it to look.
func (p hasSyscall) SyscallConn() (syscall.RawConn, error) {
	return p.g.inner.(syscall.Conn).SyscallConn()
}

func (p hasNetConn) NetConn() net.Conn { return p.g.inner.(netConner).NetConn() }

func (p setsTCP) tcp() tcpMethods { return p.g.inner.(tcpMethods) }

func (p setsTCP) SetNoDelay(on bool) error { return p.tcp().SetNoDelay(on) }

func (p setsTCP) MultipathTCP() (bool, error) { return p.tcp().MultipathTCP() }

// SetLinger(0) asks for a RST at Close, so that Close must not take pains to avoid one.
func (p setsTCP) SetLinger(sec int) error {
	p.g.hardClose.Store(sec == 0)
	return p.tcp().SetLinger(sec)
}

func (p setsTCP) SetKeepAlive(on bool) error {
	return p.g.userKeepAlive(func() error { return p.tcp().SetKeepAlive(on) })
}

func (p setsTCP) SetKeepAlivePeriod(d time.Duration) error {
	return p.g.userKeepAlive(func() error { return p.tcp().SetKeepAlivePeriod(d) })
}

func (p setsTCP) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	return p.g.userKeepAlive(func() error { return p.tcp().SetKeepAliveConfig(k) })
}

// readFrom lets the kernel copy (sendfile, splice) and counts what left.
func (c *Conn) readFrom(r io.Reader) (int64, error) {
	at := now()
	if err := c.refuse(at); err != nil {
		return 0, err
	}
	c.leaving(1, at) // how much it will be is not known yet; one byte stands for "something may have left"
	n, err := c.inner.(io.ReaderFrom).ReadFrom(r)
	c.left(n, 1)
	if err != nil && c.ourFault(err) {
		err = c.failed("write", err, n == 0 && c.pending.Load() == 0)
	}
	return n, err
}

// writeTo lets the kernel copy between two sockets and counts once; everything else goes through Read.
func (c *Conn) writeTo(w io.Writer) (int64, error) {
	switch w.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return io.Copy(w, struct{ io.Reader }{c})
	}
	c.inIO.Add(1)
	n, err := c.inner.(io.WriterTo).WriteTo(w)
	c.inIO.Add(-1)
	if n > 0 {
		c.received(now())
	}
	if err != nil && c.ourFault(err) {
		err = c.failed("read", err, false)
	}
	return n, err
}

// ourFault reports whether an error of a copy comes from this connection and not from the other end of the copy. The error
// does not tell, so the kernel is asked.
func (c *Conn) ourFault(err error) bool {
	if c.state.Load() != stateOpen {
		return true
	}
	errno := errnoOf(err)
	return (isReset(errno) || isTimeout(errno)) && (c.Dead() || c.probe(now()) != nil)
}
