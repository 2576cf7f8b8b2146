import { useMemo, useState } from "preact/hooks";
import { causeOf } from "../causes";
import { Chart, type Series } from "../chart";
import { count, plural, rate, seconds } from "../format";
import { Wall } from "../wall";
import type { Source } from "./api";
import { Actions, type Hand } from "./control";
import { Heat, type Mark } from "./heat";
import type { Track } from "./history";
import { Learned } from "./learned";
import { Table } from "./table";
import { deadTile, liveTile } from "./tiles";
import { Timings } from "./timings";
import { Cut } from "./unasked";

const window_ = 120; // seconds that the chart shows

const lines: Series[] = [
  { label: "open", color: "--line-strong", dash: [3, 3] },
  { label: "in use", color: "--in-use", fill: true },
  { label: "waiting", color: "--dead" },
];

interface Props {
  source: Source;
  track: Track | undefined;
  now: number;
  bounds: number[]; // seconds, of the lengths of waits
  marks: Mark[];
  hand: Hand | undefined; // undefined: nothing can be changed from here
}

// Pool is one row of the board: numbers, wall and chart of one source.
export function Pool({ source, track, now, bounds, marks, hand }: Props) {
  const [table, setTable] = useState(false);
  return (
    <section class="pool" aria-label={source.name}>
      <div class="pool-head">
        <h2>{source.name === "" ? "(no name)" : source.name}</h2>
        <p class="quiet">{about(source)}</p>
        {hand !== undefined && source.controllable && <Actions source={source} hand={hand} />}
      </div>
      <Numbers source={source} track={track} />
      {source.stats.waiting > 0 && <Line waiting={source.stats.waiting} oldest={source.stats.oldest_wait_seconds} />}
      {source.timings.length > 0 && <Timings timings={source.timings} />}
      {source.learned.length > 0 && <Learned lessons={source.learned} />}
      {source.unasked.length > 0 && <Cut places={source.unasked} />}
      <div class="pool-body">
        <div class="pool-wall">
          <Walls source={source} />
          {source.conns_left_out > 0 && <p class="quiet">{plural(source.conns_left_out, "more connection")} not listed.</p>}
        </div>
        <details class="more" onToggle={(e) => setTable((e.currentTarget as HTMLDetailsElement).open)}>
          <summary>As a table</summary>
          {table && <Table source={source} />}
        </details>
        <div class="pool-chart">
          <History source={source} track={track} now={now} />
          {track !== undefined && source.stats.wait_counts.length > 0 && <Heat track={track} bounds={bounds} now={now} span={window_} marks={marks} />}
        </div>
      </div>
    </section>
  );
}

const backendsMost = 12;

// Walls is one wall a backend, where a pool has connections to several.
function Walls({ source }: { source: Source }) {
  const ceilings = new Map(source.learned.map((l) => [l.peer, l.ceiling_seconds]));
  const live = source.conns.map((c) => liveTile(c, ceilings.get(c.peer)));
  const endings = source.deaths.map(deadTile);
  const peers = [...new Set(live.map((t) => t.peer))].filter((p) => p !== "").sort();
  if (peers.length < 2 || peers.length > backendsMost) return <Wall label={source.name} live={live} endings={endings} />;
  // Those that are being dialled have no backend yet, and what ended may have had one that nobody is connected to any more.
  const rest = (peer: string) => !peers.includes(peer);
  const others = { live: live.filter((t) => rest(t.peer)), endings: endings.filter((t) => rest(t.peer)) };
  return (
    <>
      {peers.map((peer) => (
        <div class="backend" key={peer}>
          <h3>{peer}</h3>
          <Wall label={`${source.name}, ${peer}`} live={live.filter((t) => t.peer === peer)} endings={endings.filter((t) => t.peer === peer)} />
        </div>
      ))}
      {others.live.length > 0 && (
        <div class="backend">
          <h3>no backend yet</h3>
          <Wall label={`${source.name}, no backend yet`} live={others.live} endings={others.endings} />
        </div>
      )}
    </>
  );
}

const callersMost = 40;

// Line is the callers who wait, the oldest first.
function Line({ waiting, oldest }: { waiting: number; oldest: number }) {
  return (
    <p class="line">
      {Array.from({ length: Math.min(waiting, callersMost) }, (_, i) => (
        <span class="line-caller" key={i} aria-hidden="true" />
      ))}
      <span class="line-text">
        {plural(waiting, "caller waits", "callers wait")}, the first for {seconds(oldest)}
      </span>
    </p>
  );
}

function about({ kind, limits, stats }: Source): string {
  if (kind === "guarded") return "sockets that Herz guards and that no pool on this board has";
  const parts = [];
  if (limits !== null && limits.max_open > 0) parts.push(`at most ${count(limits.max_open)} open`);
  if (limits !== null && limits.min_idle > 0) parts.push(`at least ${count(limits.min_idle)} idle`);
  if (limits !== null && limits.max_idle_seconds > 0) parts.push(`idle for ${seconds(limits.max_idle_seconds)} at most`);
  if (stats.generation > 0) parts.push(`generation ${count(stats.generation)}`);
  return parts.join(" · ");
}

function Numbers({ source, track }: { source: Source; track: Track | undefined }) {
  const s = source.stats;
  const gone = Object.entries(s.closed);
  const hurt = gone.filter(([c]) => !causeOf(c).ours).reduce((sum, [, n]) => sum + n, 0);
  const all = gone.reduce((sum, [, n]) => sum + n, 0);
  const pool = source.kind === "pool";
  return (
    <>
      <dl class="numbers">
        <Number name="Open" value={count(s.open)} />
        <Number name="In use" value={count(s.in_use)} mark="in_use" />
        <Number name="Idle" value={count(s.idle)} mark="idle" />
        {pool && <Number name="Checking" value={count(s.checking)} mark="checking" />}
        {pool && <Number name="Dialing" value={count(s.dialing)} mark="dialing" />}
        <Number name="Stale" value={count(s.stale)} mark="stale" alarm={s.stale > 0} />
        {pool && <Number name="Closing" value={count(s.closing)} mark="closing" />}
        {pool && <Number name="Waiting" value={count(s.waiting)} alarm={s.waiting > 0} />}
        {pool && <Number name="Oldest wait" value={s.waiting === 0 ? "–" : seconds(s.oldest_wait_seconds)} alarm={s.oldest_wait_seconds >= 1} />}
        {pool && <Number name="Loans / s" value={rate(track?.rate ?? 0)} />}
        {s.dead_lent > 0 && <Number name="Lent dead" value={count(s.dead_lent)} alarm />}
        {pool && <Number name="Had to wait" value={count(s.waits)} />}
        {pool && <Number name="Ended" value={count(all)} note={hurt === 0 ? "" : `${count(hurt)} not by us`} />}
      </dl>
      {s.last_dial_error !== "" && (
        <p class="trouble">
          <strong>The newest dial failed:</strong> {s.last_dial_error}
        </p>
      )}
    </>
  );
}

function Number({ name, value, mark, alarm = false, note = "" }: { name: string; value: string; mark?: string; alarm?: boolean; note?: string }) {
  return (
    <div class={`number${alarm ? " number-alarm" : ""}${value === "0" || value === "–" ? " number-zero" : ""}`}>
      <dt>
        {mark !== undefined && <span class={`swatch tile-${mark}`} aria-hidden="true" />}
        {name}
      </dt>
      <dd>
        {value}
        {note !== "" && <span class="number-note">{note}</span>}
      </dd>
    </div>
  );
}

function History({ source, track, now }: Pick<Props, "source" | "track" | "now">) {
  const data = useMemo<[number[], number[], number[], number[]]>(
    () => (track === undefined ? [[], [], [], []] : [track.times.map((t) => t - now), track.open, track.inUse, track.waiting]),
    [track, now],
  );
  const { stats } = source;
  return (
    <figure>
      <Chart
        label={`Over the last two minutes. Now: ${stats.open} open, ${stats.in_use} in use, ${stats.waiting} waiting.`}
        height={120}
        series={lines}
        data={data}
        axes
        range={[-window_, 0]}
        x={ago}
      />
      <figcaption class="keys">
        {lines.map((l) => (
          <span key={l.label} class={`key key-${l.label.replace(" ", "-")}`}>
            {l.label}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function ago(t: number): string {
  if (t === 0) return "now";
  return t <= -window_ ? "" : `−${-t} s`; // the leftmost would stand on the zero of the other axis
}
