import type { Change, Conn, Delta, Snapshot, Source } from "./api";

const deathsMost = 128;
const eventsMost = 100;

// apply gives the state after a change. What the server did not mention only became older.
export function apply(before: Snapshot, d: Delta): Snapshot {
  const passed = d.uptime_seconds - before.uptime_seconds;
  const old = new Map(before.sources.map((s) => [s.id, s]));
  return {
    ...before,
    now: d.now,
    uptime_seconds: d.uptime_seconds,
    every_seconds: d.every_seconds,
    control: d.control,
    audit: d.audit ?? before.audit,
    leaks: d.leaks ?? before.leaks,
    events: d.events === undefined ? before.events : [...d.events, ...before.events].slice(0, eventsMost),
    sources: d.sources.map((s) => s.whole ?? changed(old.get(s.id), s.change, passed)).filter((s): s is Source => s !== undefined),
  };
}

function changed(was: Source | undefined, d: Change | undefined, passed: number): Source | undefined {
  if (was === undefined || d === undefined) return undefined; // the server says of a source what changed only to those who have it
  return {
    ...was,
    ref: d.ref,
    controllable: d.controllable,
    busy: d.busy,
    stats: d.stats,
    limits: d.limits ?? was.limits,
    conns: connections(was.conns, d, passed),
    conns_left_out: d.conns_left_out,
    deaths: d.deaths === undefined ? was.deaths : [...d.deaths, ...was.deaths].slice(0, deathsMost),
    unasked: d.unasked ?? was.unasked,
    learned: d.learned ?? was.learned,
    timings: d.timings,
  };
}

// connections keeps the objects of those to which nothing happened: of ten thousand, few are told of.
function connections(was: Conn[], d: Change, passed: number): Conn[] {
  const gone = new Set(d.gone);
  const told = new Map(d.conns?.map((c) => [c.id, c]));
  const list: Conn[] = [];
  for (const c of was) {
    if (gone.has(c.id)) continue;
    const now = told.get(c.id);
    if (now === undefined) {
      age(c, passed);
      list.push(c);
    } else {
      list.push(now);
      told.delete(c.id);
    }
  }
  for (const c of told.values()) list.push(c);
  return list;
}

function age(c: Conn, passed: number) {
  c.age_seconds += passed;
  if (c.state === "idle") c.idle_seconds += passed;
  if (c.state === "in_use") c.held_seconds += passed;
}
