package top

// Snapshot is what this package needs of the board's JSON, which docs/board.md describes.
type Snapshot struct {
	Now     string   `json:"now"`
	Uptime  float64  `json:"uptime_seconds"`
	Process Process  `json:"process"`
	Sources []Source `json:"sources"`
}

// Process is the program that serves the board.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Host string `json:"host"`
}

// Source is one pool.
type Source struct {
	ID     uint64  `json:"id"`
	Ref    string  `json:"ref"`
	Name   string  `json:"name"`
	Kind   string  `json:"kind"`
	Busy   string  `json:"busy"`
	Stats  Stats   `json:"stats"`
	Limits *Limits `json:"limits"` // nil: it has none
	Conns  []Conn  `json:"conns"`
	Left   int     `json:"conns_left_out"`
	Deaths []Death `json:"deaths"`
	Unseen []struct {
		Site  string `json:"site"`
		Count uint64 `json:"count"`
	} `json:"unasked"`
}

// Stats are a pool's numbers.
type Stats struct {
	Generation    uint64            `json:"generation"`
	Open          int               `json:"open"`
	Idle          int               `json:"idle"`
	Checking      int               `json:"checking"`
	InUse         int               `json:"in_use"`
	Stale         int               `json:"stale"`
	Closing       int               `json:"closing"`
	Dialing       int               `json:"dialing"`
	Waiting       int               `json:"waiting"`
	OldestWait    float64           `json:"oldest_wait_seconds"`
	Acquires      uint64            `json:"acquires"`
	Dials         uint64            `json:"dials"`
	LastDialError string            `json:"last_dial_error"`
	Closed        map[string]uint64 `json:"closed"`
}

// Limits are those that a person wants beside the numbers.
type Limits struct {
	MaxOpen int     `json:"max_open"`
	MaxIdle float64 `json:"max_idle_seconds"`
}

// Conn is one open connection.
type Conn struct {
	ID    uint64  `json:"id"`
	State string  `json:"state"`
	Peer  string  `json:"peer"`
	Age   float64 `json:"age_seconds"`
	Idle  float64 `json:"idle_seconds"`
	Held  float64 `json:"held_seconds"`
	Cause string  `json:"cause"`
}

// Death is how one connection ended.
type Death struct {
	ID     uint64  `json:"id"`
	Peer   string  `json:"peer"`
	Cause  string  `json:"cause"`
	Ours   bool    `json:"ours"`
	Words  string  `json:"words"`
	Age    float64 `json:"age_seconds"`
	Idle   float64 `json:"idle_seconds"`
	Phase  string  `json:"phase"`
	Sent   int64   `json:"bytes_sent"`
	Detail string  `json:"detail"`
}

// closed is how many connections have ended, by our decision or not.
func (s Stats) closed() (n uint64) {
	for _, c := range s.Closed {
		n += c
	}
	return n
}

// find gives the source with the number, of the snapshot before.
func (s *Snapshot) find(id uint64, name string) *Source {
	if s == nil {
		return nil
	}
	for i := range s.Sources {
		if s.Sources[i].ID == id && s.Sources[i].Name == name {
			return &s.Sources[i]
		}
	}
	return nil
}
