// The board's JSON, as docs/board.md describes it. Times are seconds.

export interface Snapshot {
  schema: number;
  now: string;
  uptime_seconds: number;
  every_seconds: number;
  process: { name: string; pid: number; host: string };
  sources: Source[];
}

export interface Source {
  name: string;
  kind: "pool" | "guarded";
  stats: Stats;
  limits: Limits | null;
  conns: Conn[];
  conns_left_out: number;
  deaths: Death[];
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
  dials: number;
  dial_errors: number;
  last_dial_error: string;
  heartbeats: number;
  heartbeat_errors: number;
  misuses: number;
  closed: Record<string, number>;
}

export interface Limits {
  max_open: number;
  min_idle: number;
  keep_warm: number;
  max_idle_seconds: number;
  max_lifetime_seconds: number;
  heartbeat_every_seconds: number;
  heartbeat_timeout_seconds: number;
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
  age_seconds: number;
  idle_seconds: number;
  phase: string;
  bytes_sent: number;
  errno: number;
  errno_words: string;
  detail: string;
}
