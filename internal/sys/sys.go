package sys

import (
	"errors"
	"time"
)

// ErrUnsupported says that this system has no such call.
var ErrUnsupported = errors.New("not supported on this system")

// Ready is what the kernel reports of a socket without being read: the bits of poll(2) and epoll(7) that matter here.
type Ready uint8

// The bits of Ready.
const (
	In      Ready = 1 << iota // bytes, or the end of the stream, can be read
	ReadHup                   // the peer closed its sending side, or we closed our receiving side
	Hup                       // both sides are closed
	Err                       // the socket has an error
	Invalid                   // the descriptor is not open
)

// Gone are the bits that mean that no answer to a new request can come.
const Gone = ReadHup | Hup | Err | Invalid

// State is the state of a TCP connection as the kernel numbers it (include/net/tcp_states.h).
type State uint8

// The states that are looked at.
const (
	Established State = 1
	FinWait1    State = 4
	FinWait2    State = 5
	Closed      State = 7
	CloseWait   State = 8
)

// Info is the part of TCP_INFO that is looked at. Ages have a resolution of a millisecond or a kernel tick.
type Info struct {
	State       State
	Retransmits int           // retransmission time-outs in a row since the last progress
	Probes      int           // keep-alive or zero-window probes without an answer
	Unacked     int           // segments in flight
	AckAge      time.Duration // since the newest acknowledgement
	SentAge     time.Duration // since data was last sent or sent again
	PeerWindow  int           // bytes that the peer is ready to receive
	NotSent     int           // bytes that wait to be sent for the first time
	RTO         time.Duration // retransmission time-out now
}

// Kind is what a descriptor is.
type Kind struct {
	Stream bool // a connected byte stream, which can be watched
	TCP    bool // TCP_INFO and keep-alive work
}

// KeepAlive is the keep-alive setting of a TCP socket; times are in seconds, as the kernel counts them.
type KeepAlive struct {
	On                    bool
	Idle, Interval, Count int
}
