package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ending is how a connection ends for its client.
type ending int

const (
	finish ending = iota // a FIN, as from a server that closes
	reset                // a RST
	silent               // nothing, as from a server that lost its memory; the client's next packet gets a RST
)

// lingering bounds how long the server's end may stay open after the client has closed its own.
const lingering = 5 * time.Second

// flow is one connection of a client and the one behind it.
type flow struct {
	proxy  *Proxy
	client string
	down   *net.TCPConn
	up     net.Conn // set before the pumps start
	done   chan struct{}
	once   sync.Once

	last  atomic.Int64 // Unix nanoseconds of the newest byte
	asked atomic.Bool  // the client has sent something since the newest answer
	holed atomic.Bool  // nothing gets through any more
	left  atomic.Bool  // the client has closed
}

func newFlow(p *Proxy, nc *net.TCPConn) *flow {
	f := &flow{proxy: p, client: nc.RemoteAddr().String(), down: nc, done: make(chan struct{})}
	f.last.Store(time.Now().UnixNano())
	return f
}

// run serves the connection to its end.
func (f *flow) run(stop context.Context) {
	defer f.proxy.ended.Done()
	defer f.proxy.forget(f)
	up, err := (&net.Dialer{Timeout: lingering}).DialContext(stop, "tcp", f.proxy.target)
	if err != nil {
		f.end(reset)
		return
	}
	f.up = up
	var back sync.WaitGroup
	back.Add(1)
	go func() {
		defer back.Done()
		f.answers()
	}()
	closer := make(chan struct{})
	go func() {
		defer close(closer)
		<-f.done
		_ = up.Close()
	}()
	f.requests()
	back.Wait()
	f.end(finish)
	<-closer
}

// requests passes on what the client sends. What a frozen server has received it will read when it goes on, even from a client
// that has left.
func (f *flow) requests() {
	buf := make([]byte, 32<<10)
	for {
		n, err := f.down.Read(buf)
		if n > 0 {
			f.last.Store(time.Now().UnixNano())
			f.asked.Store(true)
			if !f.standstill() {
				return
			}
			if _, werr := f.up.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			f.left.Store(true)
			if f.standstill() {
				_ = f.up.SetReadDeadline(time.Now().Add(lingering))
				_ = f.up.(*net.TCPConn).CloseWrite()
			}
			return
		}
	}
}

// answers passes on what the server sends.
func (f *flow) answers() {
	buf := make([]byte, 32<<10)
	for {
		n, err := f.up.Read(buf)
		if n > 0 {
			if !f.standstill() || !f.path() {
				return
			}
			if f.asked.Swap(false) {
				if how, lost := f.proxy.loses(); lost {
					f.end(how)
					return
				}
			}
			f.last.Store(time.Now().UnixNano())
			if _, werr := f.down.Write(buf[:n]); werr != nil {
				f.end(finish)
				return
			}
		}
		if err != nil {
			if f.standstill() && f.path() {
				f.end(finish)
			}
			return
		}
	}
}

// standstill waits while the server stands still. It returns false when the connection ended before.
func (f *flow) standstill() bool { return f.wait(f.proxy.standing) }

// path waits while the path is down. It returns false when the connection ended before.
func (f *flow) path() bool {
	if f.holed.Load() {
		<-f.done
		return false
	}
	return f.wait(f.proxy.down)
}

func (f *flow) wait(until func() chan struct{}) bool {
	for {
		ch := until()
		if ch == nil {
			return true
		}
		select {
		case <-ch:
		case <-f.done:
			return false
		}
	}
}

// end ends the connection for both ends. Only the first call counts.
func (f *flow) end(how ending) {
	f.once.Do(func() {
		switch {
		case how == silent && unspoken(f.down) == nil:
		case how == finish && !f.left.Load():
			f.proxy.tell(f)
		case how != finish:
			_ = f.down.SetLinger(0)
			f.proxy.tell(f)
		}
		_ = f.down.Close()
		close(f.done)
	})
}
