package live

import "herz.example/herz/cmd/herz/internal/demo/judge"

// State is everything the page shows.
type State struct {
	Now      float64        `json:"now_seconds"`
	Duration float64        `json:"duration_seconds"` // 0: until it is stopped
	Seed     uint64         `json:"seed"`
	Done     bool           `json:"done"`
	MySQL    string         `json:"mysql"`
	Redis    string         `json:"redis"`
	Board    string         `json:"board"`
	Clients  []Client       `json:"clients"`
	Faults   []Fault        `json:"faults"`
	Log      []Line         `json:"log"`
	Verdict  *judge.Verdict `json:"verdict"`
}

// Client is one client and what happened to its requests.
type Client struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	About        string   `json:"about"`
	Requests     int      `json:"requests"`
	Right        int      `json:"right"`
	Wrong        int      `json:"wrong"`
	Empty        int      `json:"empty"`
	Errors       int      `json:"errors"`
	Duplicates   int      `json:"duplicates"`
	LongestStall float64  `json:"longest_stall_seconds"`
	DeadLent     int      `json:"dead_lent"`
	InFlight     int      `json:"in_flight"`
	Suffering    string   `json:"suffering"`
	History      []Bucket `json:"history"`
	Conns        []Conn   `json:"conns"`
}

// Bucket is half a second.
type Bucket struct {
	T          float64 `json:"t"`
	Right      int     `json:"right"`
	Wrong      int     `json:"wrong"`
	Empty      int     `json:"empty"`
	Errors     int     `json:"errors"`
	Duplicates int     `json:"duplicates"`
	Stall      float64 `json:"stall_seconds"`
}

// Conn is one connection.
type Conn struct {
	ID    uint64  `json:"id"`
	State string  `json:"state"`
	Peer  string  `json:"peer"`
	Age   float64 `json:"age_seconds"`
	Idle  float64 `json:"idle_seconds"`
	Cause string  `json:"cause"`
	Note  string  `json:"note"`
}

// Fault is one fault of the script.
type Fault struct {
	Name  string  `json:"name"`
	Title string  `json:"title"`
	Words string  `json:"words"`
	Start float64 `json:"start_seconds"`
	End   float64 `json:"end_seconds"`
	State string  `json:"state"`
	Why   string  `json:"why,omitempty"`
}

// Line is one line in words.
type Line struct {
	T      float64 `json:"t"`
	Kind   string  `json:"kind"`
	Client string  `json:"client"`
	Text   string  `json:"text"`
}
