package herzconfig

import "time"

// What follows is the one description of the file: the parser reads it by reflection, and schema.json and the tables of docs/config.md are made from
// it, the sentences from the comments. Tags:
//
//	key      the name in the file
//	unit     of the value
//	default  what holds without the key
//	zero     what 0 means; without the tag 0 is refused
//	off      what "off" and negative values mean; without the tag they are refused
//	least    the smallest number that is taken
//	most     the greatest number or time that is taken
//	only     the mode in which the key has an effect; without the tag both
//	restart  "yes": it cannot change while the program runs
//	secret   "yes": its value is never shown
//	words    the words that are taken

// fileKeys are the keys of the top level. Others may stand there when they begin with "x-": a place for YAML anchors.
type fileKeys struct {
	// Pool is the only pool, or the one that needs no name; it is called DefaultPool.
	Pool poolKeys `key:"pool"`
	// Pools are pools by their names.
	Pools map[string]poolKeys `key:"pools"`
	// WebSocket is for the servers of package herzws.
	WebSocket webSocketKeys `key:"websocket"`
}

// webSocketKeys are the keys of websocket.
type webSocketKeys struct {
	// EnableLegacyKeepAlive turns the older keep-alive on, by HTTP HEAD, in place of WebSockets: those that are open are closed with code 1012 when it
	// is turned on.
	EnableLegacyKeepAlive bool `key:"enableLegacyKeepAlive" default:"false"`
}

// poolKeys are the keys of a pool.
type poolKeys struct {
	// Name takes the place of DefaultPool, in events, in errors and on the board. Under pools the name stands before the colon.
	Name string `key:"name" default:"DefaultPool" restart:"yes"`
	// Driver is the name of the database driver: mysql, pgx or postgres, whose adapter the program imports. It goes with dsn; without both the program
	// itself makes the connections.
	Driver string `key:"driver" restart:"yes"`
	// DSN is the data source name as the driver takes it. Take passwords from the environment: ${DB_PASSWORD}.
	DSN string `key:"dsn" restart:"yes" secret:"yes"`
	// Mode says whose pool it is: Herz's own, or that of database/sql with the guard under each connection.
	Mode string `key:"mode" words:"pooled,guarded" default:"pooled" restart:"yes"`

	// ValidationQuery is what a ping runs: that of a loan, that of a heartbeat, and the first look at a new connection. It has to return a row.
	ValidationQuery string `key:"validationQuery" default:"the driver's ping" restart:"yes"`
	// TestOnBorrow pings each connection before it is lent, however short it was idle.
	TestOnBorrow bool `key:"testOnBorrow" default:"false"`
	// TimeBetweenEvictionRunsMillis is how often each idle connection is looked at: taken out of the pool, asked for a sign of life, and
	// closed when it gives none. It is heartbeatEvery in milliseconds. (Connections past maxIdleTime or maxLifetime need no runs: they are closed
	// when it is time.)
	TimeBetweenEvictionRunsMillis int64 `key:"timeBetweenEvictionRunsMillis" unit:"ms" default:"30000" zero:"never" off:"never" most:"3600000" only:"pooled"`
	// HeartbeatTimeoutMs bounds a dial, a ping and a close, and the time from a black hole to the error of who waits in it. It is
	// heartbeatTimeout in milliseconds.
	HeartbeatTimeoutMs int64 `key:"heartbeatTimeoutMs" unit:"ms" default:"3200" least:"1" most:"3600000"`

	// MaxOpen is the greatest number of connections that are open or being dialled.
	MaxOpen int `key:"maxOpen" unit:"connections" default:"10" least:"1" most:"1048576"`
	// MinIdle is the number of idle connections that is kept ready. It may not be greater than maxOpen.
	MinIdle int `key:"minIdle" unit:"connections" default:"0" zero:"none" only:"pooled"`
	// MaxIdle is the greatest number of idle connections that database/sql keeps.
	MaxIdle int `key:"maxIdle" unit:"connections" default:"as maxOpen" zero:"none" only:"guarded" restart:"yes"`
	// KeepWarm is the number of idle connections that a quiet pool settles towards; the others are trimmed over time.
	KeepWarm int `key:"keepWarm" unit:"connections" default:"0" zero:"maxIdleTime alone decides" only:"pooled"`
	// KeepWarmElastic is the part of keepWarm that is kept however long it is idle.
	KeepWarmElastic float64 `key:"keepWarmElastic" unit:"share" default:"0.8" most:"1" only:"pooled"`
	// MaxWaiters is the greatest number of callers who wait for a connection; one more is turned away at once.
	MaxWaiters int `key:"maxWaiters" unit:"callers" default:"65536" least:"1" only:"pooled"`
	// MaxDialing is the greatest number of dials at the same time.
	MaxDialing int `key:"maxDialing" unit:"dials" default:"4" least:"1" only:"pooled"`
	// MaxClosing is the greatest number of closes at the same time.
	MaxClosing int `key:"maxClosing" unit:"closes" default:"8" least:"1" only:"pooled"`
	// ReconnectPerSecond is how many connections a second are dialled in place of those that the pool itself ended, while nobody waits for them.
	ReconnectPerSecond int `key:"reconnectPerSecond" unit:"dials a second" default:"20" off:"without limit" only:"pooled"`
	// MaxUses is how many times one connection is lent.
	MaxUses int `key:"maxUses" unit:"loans" default:"without limit" zero:"without limit"`
	// MaxLifetime is the age past which a connection is not lent again.
	MaxLifetime time.Duration `key:"maxLifetime" unit:"time" default:"30m" off:"without limit"`
	// MaxLifetimeJitter is the greatest time that is taken off maxLifetime, drawn once for each connection.
	MaxLifetimeJitter time.Duration `key:"maxLifetimeJitter" unit:"time" default:"a tenth of maxLifetime" off:"none"`
	// MaxIdleTime is the idle time after which a connection is closed.
	MaxIdleTime time.Duration `key:"maxIdleTime" unit:"time" default:"10m" off:"without limit"`
	// HeartbeatEvery is the idle time after which a connection is taken out of the pool and pinged.
	HeartbeatEvery time.Duration `key:"heartbeatEvery" unit:"time" default:"30s" off:"never" only:"pooled"`
	// HeartbeatTimeout bounds a dial, a ping and a close. What the guard under a connection gives a black hole is set by it when
	// the database is opened, and is never less than 2.5 s.
	HeartbeatTimeout time.Duration `key:"heartbeatTimeout" unit:"time" default:"3.2s" most:"1h"`
	// PingAfter is the idle time after which a connection is pinged before it is lent.
	PingAfter time.Duration `key:"pingAfter" unit:"time" default:"1s" off:"never"`
	// AcquireTimeout bounds the wait of a caller whose context has no deadline.
	AcquireTimeout time.Duration `key:"acquireTimeout" unit:"time" default:"30s" off:"without limit" only:"pooled"`
	// LeakAfter is the age of a lease past which it is reported, once, with the stack of who took it.
	LeakAfter time.Duration `key:"leakAfter" unit:"time" default:"never" zero:"never" only:"pooled"`

	// RequireWritable takes only servers that accept writes.
	RequireWritable bool `key:"requireWritable" default:"false" restart:"yes"`
	// RequireReplica takes only servers that refuse writes.
	RequireReplica bool `key:"requireReplica" default:"false" restart:"yes"`
	// Identity has each server asked who it is and in which role, so that a fail-over behind the same address is noticed.
	Identity bool `key:"identity" default:"true" restart:"yes"`
	// Guard is for the guard under each connection.
	Guard guardKeys `key:"guard" restart:"yes"`
}

// guardKeys are the keys of guard. Its bound for black holes is heartbeatTimeout.
type guardKeys struct {
	// ProbeAfter is the silence after which the kernel is asked before a write.
	ProbeAfter time.Duration `key:"probeAfter" unit:"time" default:"20ms" restart:"yes"`
	// ListenKeepAlive keeps keep-alive on for the whole life of a connection, for programs that only listen. It costs a packet a second.
	ListenKeepAlive bool `key:"listenKeepAlive" default:"false" restart:"yes"`
	// ResolveEvery is how often the host name of a connection in use is resolved again, so that it is not lent when the name leads elsewhere.
	ResolveEvery time.Duration `key:"resolveEvery" unit:"time" default:"1s" off:"never" restart:"yes"`
}

// twins are two keys for the same, of which only one may stand.
var twins = map[string]string{
	"heartbeatEvery": "timeBetweenEvictionRunsMillis", "timeBetweenEvictionRunsMillis": "heartbeatEvery",
	"heartbeatTimeout": "heartbeatTimeoutMs", "heartbeatTimeoutMs": "heartbeatTimeout",
}

// instead says, for each key that has an effect in one mode only, what happens in the other.
var instead = map[string]string{
	"timeBetweenEvictionRunsMillis": "an idle connection is looked at when it is borrowed",
	"minIdle":                       "database/sql dials when somebody asks",
	"maxIdle":                       "minIdle, keepWarm and maxIdleTime say how many stay idle",
	"keepWarm":                      "maxIdle and maxIdleTime decide",
	"keepWarmElastic":               "maxIdle and maxIdleTime decide",
	"maxWaiters":                    "database/sql lets everybody wait",
	"maxDialing":                    "database/sql dials for each caller",
	"maxClosing":                    "database/sql closes for itself",
	"reconnectPerSecond":            "database/sql dials only when somebody asks",
	"heartbeatEvery":                "an idle connection is looked at when it is borrowed",
	"acquireTimeout":                "only the caller's context ends a wait",
	"leakAfter":                     "database/sql does not tell who holds what",
}
