import { useRef, useState } from "preact/hooks";
import { Announce } from "../announce";
import { plural } from "../format";
import { Legend } from "../legend";
import { LinkBadge } from "../link";
import { Mark as Logo } from "../mark";
import { useStream } from "../stream";
import type { Delta, Snapshot } from "./api";
import { Audit } from "./audit";
import { type Hand, TokenBar } from "./control";
import { apply } from "./delta";
import { Endings } from "./endings";
import { Events } from "./events";
import { Goroutines } from "./goroutines";
import { next, type View } from "./history";
import type { Mark } from "./heat";
import { Leaks } from "./leaks";
import { Pool } from "./pool";

export function Board() {
  const [view, setView] = useState<View | null>(null);
  const [paused, setPaused] = useState(false);
  const [token, setToken] = useState(""); // kept here only: it goes with the page
  const newest = useRef<View | null>(null);
  const held = useRef(false);
  held.current = paused;

  const take = (snap: Snapshot) => {
    newest.current = next(newest.current, snap);
    if (!held.current) setView(newest.current);
    return true;
  };
  const link = useStream<Snapshot, Delta>("api/events?deltas=1", { take, every: (snap) => snap.every_seconds, apply });
  const pause = () => {
    const at = newest.current;
    // Connections grow older in place: what stands still needs its own.
    setView(paused || at === null ? at : { ...at, snap: structuredClone(at.snap) });
    setPaused(!paused);
  };

  return (
    <>
      <header class="top">
        <Logo />
        <div class="top-title">
          <h1>Connections</h1>
          {view !== null && <p class="quiet">{whose(view.snap)}</p>}
        </div>
        <LinkBadge link={link} paused={paused} />
        <button type="button" class="button" aria-pressed={paused} onClick={pause}>
          Pause
        </button>
      </header>
      <main class={link === "lost" ? "faded" : ""}>
        {view === null ? (
          <p class="hint">{link === "lost" ? "The server does not answer." : "Waiting for the first numbers."}</p>
        ) : (
          <Shown view={view} token={token} onToken={setToken} />
        )}
      </main>
      <Announce text={view?.news ?? ""} />
    </>
  );
}

function whose(s: Snapshot): string {
  return [s.process.name, `process ${s.process.pid}`, s.process.host].filter((x) => x !== "").join(" · ");
}

function Shown({ view, token, onToken }: { view: View; token: string; onToken: (token: string) => void }) {
  const { sources, control, audit, events, leaks } = view.snap;
  const hand: Hand | undefined = control.by === "hook" || (control.by === "token" && token !== "") ? { token } : undefined;
  return (
    <>
      <Summary view={view} />
      {control.by === "token" && <TokenBar token={token} onToken={onToken} />}
      <Legend />
      {sources.length === 0 && (
        <p class="hint">
          No pool is on this board yet. Add one: <code>board.Add(p)</code>.
        </p>
      )}
      {sources.map((s, i) => (
        <Pool
          key={`${s.name}/${i}`}
          source={s}
          track={view.tracks[i]}
          now={view.snap.uptime_seconds}
          bounds={view.snap.wait_bounds_seconds}
          marks={marksOf(view.snap, s.name)}
          hand={hand}
        />
      ))}
      {leaks.length > 0 && <Leaks leaks={leaks} />}
      {(control.enabled || audit.length > 0) && <Audit acts={audit} />}
      {events.length > 0 && <Events events={events} />}
      <Endings endings={view.endings} pools={[...new Set(sources.map((s) => s.name))]} />
      <Goroutines />
    </>
  );
}

// marksOf are the changes of a pool's limits, at the times of the server's clock since its start.
function marksOf({ events, now, uptime_seconds }: Snapshot, pool: string): Mark[] {
  return events
    .filter((e) => e.kind === "limits_changed" && e.pool === pool && e.after !== null)
    .map((e) => ({
      at: uptime_seconds - (Date.parse(now) - Date.parse(e.at)) / 1000,
      words: Object.entries(e.after ?? {})
        .map(([name, to]) => `${name} ${e.before?.[name]} → ${to}`)
        .join(", "),
    }));
}

// Summary says in one sentence whether all is well.
function Summary({ view }: { view: View }) {
  const total = { open: 0, inUse: 0, waiting: 0, stale: 0 };
  for (const { stats } of view.snap.sources) {
    total.open += stats.open;
    total.inUse += stats.in_use;
    total.waiting += stats.waiting;
    total.stale += stats.stale;
  }
  const sources = plural(view.snap.sources.length, "source");
  const waiting = total.waiting === 0 ? "nobody waits" : `${plural(total.waiting, "caller waits", "callers wait")}`;
  const stale = total.stale === 0 ? "" : `, ${total.stale} unfit`;
  return (
    <p class="summary">
      {sources}: {plural(total.open, "connection")} open{stale}, {total.inUse} in use, {waiting}.
    </p>
  );
}
