package board

// schemaVersion rises when the meaning of a field changes; new fields do not raise it.
const schemaVersion = 1

// The types below are the JSON of the board; docs/board.md describes it for others. Durations are seconds.

type snapshotJSON struct {
	Schema        int          `json:"schema"`
	Now           string       `json:"now"` // RFC 3339
	UptimeSeconds float64      `json:"uptime_seconds"`
	EverySeconds  float64      `json:"every_seconds"`
	Process       processJSON  `json:"process"`
	Control       controlJSON  `json:"control"`
	Sources       []sourceJSON `json:"sources"`
	Audit         []auditJSON  `json:"audit"`  // newest first
	Events        []eventJSON  `json:"events"` // newest first; of pools that have the board as an observer
	Leaks         []leakJSON   `json:"leaks"`  // newest first; of pools that have the board as an observer

	WaitBounds []float64 `json:"wait_bounds_seconds"` // of stats.wait_counts
}

// deltaJSON is what changed since the state before. What is not there did not change.
type deltaJSON struct {
	Schema        int               `json:"schema"`
	Now           string            `json:"now"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	EverySeconds  float64           `json:"every_seconds"`
	Control       controlJSON       `json:"control"`
	Sources       []sourceDeltaJSON `json:"sources"` // all there are, in their order
	Audit         *[]auditJSON      `json:"audit,omitempty"`
	Events        []eventJSON       `json:"events,omitempty"` // new ones, newest first
	Leaks         *[]leakJSON       `json:"leaks,omitempty"`
}

type sourceDeltaJSON struct {
	ID     uint64      `json:"id"`
	Whole  *sourceJSON `json:"whole,omitempty"`  // of one that was not there yet
	Change *changeJSON `json:"change,omitempty"` // of one that was
}

type changeJSON struct {
	Ref          string         `json:"ref"`
	Controllable bool           `json:"controllable"`
	Busy         string         `json:"busy"`
	Stats        statsJSON      `json:"stats"`
	Limits       *limitsJSON    `json:"limits,omitempty"`
	Conns        []connJSON     `json:"conns,omitempty"` // new ones, and those to which something happened
	Gone         []uint64       `json:"gone,omitempty"`
	ConnsLeftOut int            `json:"conns_left_out"`
	Deaths       []deathJSON    `json:"deaths,omitempty"` // new ones, newest first
	Unasked      *[]unaskedJSON `json:"unasked,omitempty"`
	Learned      *[]lessonJSON  `json:"learned,omitempty"`
	Timings      []timingJSON   `json:"timings"`
}

// leakJSON is a place in the program that loses leases, or holds them for long.
type leakJSON struct {
	Pool    string  `json:"pool"`
	Held    bool    `json:"held"`  // it holds them for longer than LeakAfter; else they are lost for good
	Stack   string  `json:"stack"` // empty when the lease was not sampled
	Count   uint64  `json:"count"`
	Last    string  `json:"last"`    // RFC 3339
	Conn    uint64  `json:"conn"`    // of the newest
	Seconds float64 `json:"seconds"` // for which the newest was held
}

// timingJSON is how long a phase took, of the newest few hundred.
type timingJSON struct {
	Phase      string  `json:"phase"` // dial or ping
	Count      uint64  `json:"count"` // since the board began to observe the pool
	P50Seconds float64 `json:"p50_seconds"`
	P99Seconds float64 `json:"p99_seconds"`
	MaxSeconds float64 `json:"max_seconds"`
}

type eventJSON struct {
	ID      uint64         `json:"id"`
	At      string         `json:"at"` // RFC 3339
	Pool    string         `json:"pool"`
	Kind    string         `json:"kind"`
	Conn    uint64         `json:"conn"` // 0: about none
	Cause   string         `json:"cause"`
	Seconds float64        `json:"seconds"`
	Error   string         `json:"error"`
	Stack   string         `json:"stack"`  // of a lease that was lost, held for long or misused
	Death   *deathJSON     `json:"death"`  // of a connection that ended; else null
	Before  map[string]any `json:"before"` // limits that were changed; else null
	After   map[string]any `json:"after"`
}

type controlJSON struct {
	Enabled bool   `json:"enabled"`
	By      string `json:"by"` // token or hook; empty where nothing can be changed
}

type processJSON struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Host string `json:"host"`
}

type sourceJSON struct {
	ID           uint64        `json:"id"`  // 0 for guarded
	Ref          string        `json:"ref"` // how it is called in addresses; empty for guarded
	Name         string        `json:"name"`
	Kind         string        `json:"kind"` // pool or guarded
	Controllable bool          `json:"controllable"`
	Busy         string        `json:"busy"` // the action that is under way
	Stats        statsJSON     `json:"stats"`
	Limits       *limitsJSON   `json:"limits"` // null for guarded
	Conns        []connJSON    `json:"conns"`
	ConnsLeftOut int           `json:"conns_left_out"`
	Deaths       []deathJSON   `json:"deaths"`
	Unasked      []unaskedJSON `json:"unasked"`
	Learned      []lessonJSON  `json:"learned"` // where the board has a Learner
	Timings      []timingJSON  `json:"timings"` // of a pool that has the board as an observer
}

type lessonJSON struct {
	Peer           string   `json:"peer"`
	CeilingSeconds float64  `json:"ceiling_seconds"`
	SpreadSeconds  float64  `json:"spread_seconds"`
	Agree          int      `json:"agree"`
	Of             int      `json:"of"`
	Known          []string `json:"known"`
	AdvisedSeconds float64  `json:"advised_seconds"`
	LimitSeconds   float64  `json:"limit_seconds"` // 0: nothing was set because of it
}

type statsJSON struct {
	Generation        uint64            `json:"generation"`
	Open              int               `json:"open"`
	Idle              int               `json:"idle"`
	Checking          int               `json:"checking"`
	InUse             int               `json:"in_use"`
	Stale             int               `json:"stale"`
	Closing           int               `json:"closing"`
	Leases            int               `json:"leases"`
	Dialing           int               `json:"dialing"`
	Waiting           int               `json:"waiting"`
	OldestWaitSeconds float64           `json:"oldest_wait_seconds"`
	Acquires          uint64            `json:"acquires"`
	Waits             uint64            `json:"waits"`
	WaitTimeouts      uint64            `json:"wait_timeouts"`
	WaitCancels       uint64            `json:"wait_cancels"`
	WaitRefused       uint64            `json:"wait_refused"`
	WaitSeconds       float64           `json:"wait_seconds"`
	WaitCounts        []uint64          `json:"wait_counts"` // by wait_bounds_seconds, one more for longer ones; empty where that is not told
	Dials             uint64            `json:"dials"`
	DialErrors        uint64            `json:"dial_errors"`
	LastDialError     string            `json:"last_dial_error"`
	Heartbeats        uint64            `json:"heartbeats"`
	HeartbeatErrors   uint64            `json:"heartbeat_errors"`
	Misuses           uint64            `json:"misuses"`
	DeadLent          uint64            `json:"dead_lent"`
	Closed            map[string]uint64 `json:"closed"` // by cause
}

type limitsJSON struct {
	MaxOpen                  int     `json:"max_open"`
	MinIdle                  int     `json:"min_idle"`
	KeepWarm                 int     `json:"keep_warm"`
	KeepWarmElastic          float64 `json:"keep_warm_elastic"`
	MaxWaiters               int     `json:"max_waiters"`
	MaxDialing               int     `json:"max_dialing"`
	MaxClosing               int     `json:"max_closing"`
	ReconnectPerSecond       int     `json:"reconnect_per_second"`
	MaxUses                  int     `json:"max_uses"`
	MaxLifetimeSeconds       float64 `json:"max_lifetime_seconds"`
	MaxLifetimeJitterSeconds float64 `json:"max_lifetime_jitter_seconds"`
	MaxIdleSeconds           float64 `json:"max_idle_seconds"`
	HeartbeatEverySeconds    float64 `json:"heartbeat_every_seconds"`
	HeartbeatTimeoutSeconds  float64 `json:"heartbeat_timeout_seconds"`
	PingAfterSeconds         float64 `json:"ping_after_seconds"`
	AcquireTimeoutSeconds    float64 `json:"acquire_timeout_seconds"`
	LeakAfterSeconds         float64 `json:"leak_after_seconds"`
	TestOnBorrow             bool    `json:"test_on_borrow"`
}

type connJSON struct {
	ID                   uint64  `json:"id"`
	State                string  `json:"state"`
	Peer                 string  `json:"peer"`
	Identity             string  `json:"identity"`
	Generation           uint64  `json:"generation"`
	AgeSeconds           float64 `json:"age_seconds"`
	IdleSeconds          float64 `json:"idle_seconds"`
	HeldSeconds          float64 `json:"held_seconds"`
	Uses                 uint64  `json:"uses"`
	Leases               int     `json:"leases"`
	LastHeartbeatSeconds float64 `json:"last_heartbeat_seconds"`
	Cause                string  `json:"cause"` // empty while it is well
	Holder               string  `json:"holder"`
}

type unaskedJSON struct {
	Site  string    `json:"site"`
	Count uint64    `json:"count"`
	Last  string    `json:"last"` // RFC 3339
	Death deathJSON `json:"death"`
}

type deathJSON struct {
	ID          uint64  `json:"id"`
	Peer        string  `json:"peer"`
	Cause       string  `json:"cause"`
	Ours        bool    `json:"ours"`
	Words       string  `json:"words"`
	Hint        string  `json:"hint"` // what to change; empty where there is nothing to say
	AgeSeconds  float64 `json:"age_seconds"`
	IdleSeconds float64 `json:"idle_seconds"`
	Phase       string  `json:"phase"`
	BytesSent   int64   `json:"bytes_sent"`
	Errno       int     `json:"errno"`
	ErrnoWords  string  `json:"errno_words"`
	Detail      string  `json:"detail"`
}

type poolsJSON struct {
	Schema  int         `json:"schema"`
	Now     string      `json:"now"`
	Control controlJSON `json:"control"`
	Pools   []poolJSON  `json:"pools"`
}

type poolJSON struct {
	ID           uint64     `json:"id"`
	Ref          string     `json:"ref"`
	Name         string     `json:"name"`
	Kind         string     `json:"kind"`
	Controllable bool       `json:"controllable"`
	WhyNot       string     `json:"why_not"` // empty where it is controllable
	Busy         string     `json:"busy"`
	NumActive    int        `json:"num_active"`
	NumIdle      int        `json:"num_idle"`
	Stats        statsJSON  `json:"stats"`
	Limits       limitsJSON `json:"limits"`
}

type poolDetailJSON struct {
	Schema  int         `json:"schema"`
	Now     string      `json:"now"`
	Control controlJSON `json:"control"`
	poolJSON
	Conns        []connJSON    `json:"conns"`
	ConnsLeftOut int           `json:"conns_left_out"`
	Deaths       []deathJSON   `json:"deaths"`
	Unasked      []unaskedJSON `json:"unasked"`
}

type auditListJSON struct {
	Schema  int         `json:"schema"`
	Control controlJSON `json:"control"`
	Events  []auditJSON `json:"events"` // newest first
}

type auditJSON struct {
	ID      uint64         `json:"id"`
	At      string         `json:"at"`  // RFC 3339
	Who     string         `json:"who"` // token, or what the hook said; empty where that is not known
	From    string         `json:"from"`
	Action  string         `json:"action"`
	Pool    string         `json:"pool"`
	Outcome string         `json:"outcome"` // done, failed or refused
	Reason  string         `json:"reason"`  // the caller's
	Before  map[string]any `json:"before"`  // null where nothing was begun
	After   map[string]any `json:"after"`
	Closed  int            `json:"closed"` // by evict
	Seconds float64        `json:"seconds"`
	Detail  string         `json:"detail"` // why it was refused or failed
}

type goroutinesJSON struct {
	Schema        int                  `json:"schema"`
	Now           string               `json:"now"`
	Total         int                  `json:"total"`
	LeftOut       bool                 `json:"left_out"` // there were more stacks than are read
	Groups        []goroutineGroupJSON `json:"groups"`   // those that work for pools
	GroupsLeftOut int                  `json:"groups_left_out"`
	Profiles      string               `json:"profiles"` // where net/http/pprof would be
}

// goroutineGroupJSON is goroutines that do the same at the same place.
type goroutineGroupJSON struct {
	Pool  string `json:"pool"` // empty: the stack does not tell
	Doing string `json:"doing"`
	State string `json:"state"` // as the runtime calls it
	Site  string `json:"site"`  // function, file and line in the program; empty for Herz's own
	Count int    `json:"count"`
}

type answerJSON struct {
	Schema int        `json:"schema"`
	Event  auditJSON  `json:"event"`
	Pool   poolJSON   `json:"pool"`
	Error  *faultJSON `json:"error,omitempty"`
}

type errorJSON struct {
	Schema int       `json:"schema"`
	Error  faultJSON `json:"error"`
}

type faultJSON struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Pools   []string `json:"pools,omitempty"` // those there are, or those that were meant
}
