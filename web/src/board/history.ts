import type { Death, Snapshot, Source } from "./api";

const pointsMax = 300;
const entriesMax = 1000;

// Track is what the page remembers of one source: the server keeps no history.
export interface Track {
  times: number[];
  inUse: number[];
  waiting: number[];
  open: number[];
  waits: number[][]; // how many waits ended since the event before, by their length
  waitCounts: number[];
  acquires: number;
  rate: number; // loans a second, between the last two events
}

export interface Ending {
  key: string;
  pool: string;
  death: Death;
  at: Date | null; // null: before this page was opened
}

export interface View {
  snap: Snapshot;
  tracks: Track[];
  endings: Ending[]; // newest first
  news: string; // of the newest event, for screen readers
}

// next takes one snapshot in.
export function next(before: View | null, snap: Snapshot): View {
  // A server that was started anew begins anew.
  const same = before !== null && before.snap.process.pid === snap.process.pid && before.snap.uptime_seconds <= snap.uptime_seconds;
  const old = same ? before : null;
  const seen = new Set(old?.endings.map((e) => e.key));
  const fresh: Ending[] = [];
  for (const s of snap.sources) {
    for (const death of s.deaths) {
      const key = `${s.name}/${death.id}`;
      if (!seen.has(key)) fresh.push({ key, pool: s.name, death, at: old === null ? null : new Date(snap.now) });
    }
  }
  const news = sentence(fresh.filter((e) => e.at !== null && !e.death.ours));
  return {
    snap,
    tracks: snap.sources.map((s, i) => extend(trackOf(old, s, i), s, snap, old?.snap.uptime_seconds)),
    endings: [...fresh, ...(old?.endings ?? [])].slice(0, entriesMax),
    news: news === "" ? (old?.news ?? "") : news,
  };
}

function trackOf(old: View | null, s: Source, at: number): Track | undefined {
  if (old?.snap.sources[at]?.name === s.name) return old.tracks[at];
  const found = old?.snap.sources.findIndex((x) => x.name === s.name) ?? -1;
  return found < 0 ? undefined : old?.tracks[found];
}

function extend(t: Track | undefined, s: Source, snap: Snapshot, lastTime: number | undefined): Track {
  const passed = lastTime === undefined ? 0 : snap.uptime_seconds - lastTime;
  const counts = s.stats.wait_counts;
  const ended = t === undefined ? counts.map(() => 0) : counts.map((n, i) => Math.max(0, n - (t.waitCounts[i] ?? 0)));
  const push = (list: number[] | undefined, n: number) => [...(list ?? []), n].slice(-pointsMax);
  return {
    times: push(t?.times, snap.uptime_seconds),
    inUse: push(t?.inUse, s.stats.in_use),
    waiting: push(t?.waiting, s.stats.waiting),
    open: push(t?.open, s.stats.open),
    waits: [...(t?.waits ?? []), ended].slice(-pointsMax),
    waitCounts: counts,
    acquires: s.stats.acquires,
    rate: t !== undefined && passed > 0 ? Math.max(0, s.stats.acquires - t.acquires) / passed : 0,
  };
}

function sentence(fresh: Ending[]): string {
  const first = fresh[0];
  if (first === undefined) return "";
  const rest = fresh.length > 1 ? `, and ${fresh.length - 1} more` : "";
  return `${first.pool}: connection ${first.death.id} ended, ${first.death.words}${rest}`;
}
