// The board's JSON, as docs/board.md describes it. Times are seconds.

export interface Snapshot {
  schema: number;
  now: string;
  uptime_seconds: number;
  every_seconds: number;
  process: { name: string; pid: number; host: string };
  control: Control;
  sources: Source[];
  audit: Act[];
  events: Happening[];
  leaks: Leak[];
  wait_bounds_seconds: number[];
}

// Delta is what changed since the state before it. What is not there did not change.
export interface Delta {
  now: string;
  uptime_seconds: number;
  every_seconds: number;
  control: Control;
  sources: SourceDelta[];
  audit?: Act[];
  events?: Happening[];
  leaks?: Leak[];
}

export interface SourceDelta {
  id: number;
  whole?: Source; // of one that was not there yet
  change?: Change; // of one that was
}

export interface Change {
  ref: string;
  controllable: boolean;
  busy: string;
  stats: Stats;
  limits?: Limits;
  conns?: Conn[];
  gone?: number[];
  conns_left_out: number;
  deaths?: Death[];
  unasked?: Unasked[];
  learned?: Lesson[];
  timings: Timing[];
}

// Leak is a place in the program that loses leases, or holds them for long.
export interface Leak {
  pool: string;
  held: boolean;
  stack: string;
  count: number;
  last: string;
  conn: number;
  seconds: number;
}

// Timing is how long a phase took, of the newest few hundred.
export interface Timing {
  phase: string;
  count: number;
  p50_seconds: number;
  p99_seconds: number;
  max_seconds: number;
}

// Goroutines is what api/goroutines gives.
export interface Goroutines {
  now: string;
  total: number;
  left_out: boolean;
  groups: { pool: string; doing: string; state: string; site: string; count: number }[];
  groups_left_out: number;
  profiles: string;
}

// Happening is an event of a pool.
export interface Happening {
  id: number;
  at: string;
  pool: string;
  kind: string;
  conn: number;
  cause: string;
  seconds: number;
  error: string;
  stack: string;
  death: Death | null;
  before: Record<string, number | boolean> | null;
  after: Record<string, number | boolean> | null;
}

export interface Control {
  enabled: boolean;
  by: "" | "token" | "hook";
}

export interface Source {
  id: number;
  ref: string;
  name: string;
  kind: "pool" | "guarded";
  controllable: boolean;
  busy: string;
  stats: Stats;
  limits: Limits | null;
  conns: Conn[];
  conns_left_out: number;
  deaths: Death[];
  unasked: Unasked[];
  learned: Lesson[];
  timings: Timing[];
}

// Lesson is after how long something closes idle connections.
export interface Lesson {
  peer: string;
  ceiling_seconds: number;
  spread_seconds: number;
  agree: number;
  of: number;
  known: string[];
  advised_seconds: number;
  limit_seconds: number;
}

// Unasked is a place in the program that read a result which was cut short, and did not look.
export interface Unasked {
  site: string;
  count: number;
  last: string;
  death: Death;
}

export interface Stats {
  generation: number;
  open: number;
  idle: number;
  checking: number;
  in_use: number;
  stale: number;
  closing: number;
  leases: number;
  dialing: number;
  waiting: number;
  oldest_wait_seconds: number;
  acquires: number;
  waits: number;
  wait_timeouts: number;
  wait_cancels: number;
  wait_refused: number;
  wait_seconds: number;
  wait_counts: number[];
  dials: number;
  dial_errors: number;
  last_dial_error: string;
  heartbeats: number;
  heartbeat_errors: number;
  misuses: number;
  dead_lent: number;
  closed: Record<string, number>;
}

export interface Limits extends Record<string, number | boolean> {
  max_open: number;
  min_idle: number;
  max_idle_seconds: number;
}

// Act is one action on a pool, or an attempt at one.
export interface Act {
  id: number;
  at: string;
  who: string;
  from: string;
  action: string;
  pool: string;
  outcome: "done" | "failed" | "refused";
  reason: string;
  before: Record<string, number | boolean> | null;
  after: Record<string, number | boolean> | null;
  closed: number;
  seconds: number;
  detail: string;
}

export interface Conn {
  id: number;
  state: string;
  peer: string;
  identity: string;
  generation: number;
  age_seconds: number;
  idle_seconds: number;
  held_seconds: number;
  uses: number;
  leases: number;
  last_heartbeat_seconds: number;
  cause: string;
  holder: string;
}

export interface Death {
  id: number;
  peer: string;
  cause: string;
  ours: boolean;
  words: string;
  hint: string;
  age_seconds: number;
  idle_seconds: number;
  phase: string;
  bytes_sent: number;
  errno: number;
  errno_words: string;
  detail: string;
}
