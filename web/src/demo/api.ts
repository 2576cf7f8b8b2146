// The JSON of `herz demo`. Times are seconds since the demo began.

export interface Demo {
  now_seconds: number;
  duration_seconds: number;
  seed: number;
  done: boolean;
  mysql: string;
  redis: string;
  board: string;
  clients: Client[] | null;
  faults: Fault[] | null;
  log: Line[] | null;
  verdict: Verdict | null;
}

// Full is a state in which an empty list is a list.
export type Full = Demo & { clients: Client[]; faults: Fault[]; log: Line[] };

export function full(d: Demo): Full {
  return { ...d, clients: d.clients ?? [], faults: d.faults ?? [], log: d.log ?? [] };
}

export type Kind = "article" | "stock" | "herz";

export interface Client {
  name: string;
  kind: Kind;
  about: string;
  requests: number;
  right: number;
  wrong: number;
  empty: number;
  errors: number;
  duplicates: number;
  longest_stall_seconds: number;
  dead_lent: number;
  in_flight: number;
  suffering: string;
  history: Bucket[] | null;
  conns: Conn[] | null;
}

export interface Bucket {
  t: number;
  right: number;
  wrong: number;
  empty: number;
  errors: number;
  duplicates: number;
  stall_seconds: number;
}

export interface Conn {
  id: number;
  state: string;
  peer: string;
  age_seconds: number;
  idle_seconds: number;
  cause: string;
  note: string;
}

export interface Fault {
  name: string;
  title: string;
  words: string;
  start_seconds: number;
  end_seconds: number;
  state: "coming" | "active" | "over" | "left_out";
  why?: string;
}

export interface Line {
  t: number;
  kind: string;
  client: string;
  text: string;
}

export interface Verdict {
  good: boolean;
  lines: string[];
}
