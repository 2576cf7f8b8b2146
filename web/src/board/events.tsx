import { useState } from "preact/hooks";
import { causeOf } from "../causes";
import { clock, seconds } from "../format";
import type { Happening } from "./api";

const words: Record<string, string> = {
  pool_created: "opened",
  pool_cleared: "made all its connections stale",
  pool_closed: "closed",
  connection_closed: "lost a connection",
  heartbeat: "a heartbeat failed",
  leaked: "a lease is lost or long held",
  misused: "a lease was misused",
  limits_changed: "limits changed",
};

// Events lists what happened in the pools, newest first. What is typed into the field has to stand in each line that is shown.
export function Events({ events }: { events: Happening[] }) {
  const [wanted, setWanted] = useState("");
  const shown = events.filter((e) => `${e.pool} ${e.kind} ${wordsOf(e)}`.toLowerCase().includes(wanted.toLowerCase()));
  return (
    <section class="endings events" aria-label="What happened">
      <div class="endings-head">
        <h2>What happened</h2>
        <div class="filters">
          <label>
            <span class="unseen">Text</span>
            <input type="search" placeholder="Find pool, kind, words" value={wanted} onInput={(e) => setWanted(e.currentTarget.value)} />
          </label>
        </div>
      </div>
      {shown.length === 0 ? (
        <p class="hint">{events.length === 0 ? "Nothing yet." : "No event has that in its line."}</p>
      ) : (
        <ol class="log" tabIndex={0} aria-label="Events, newest first">
          {shown.map((e) => (
            <Row key={e.id} event={e} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Row({ event: e }: { event: Happening }) {
  return (
    <li class="log-row">
      <span class="log-time" title={e.at}>
        {clock(new Date(e.at))}
      </span>
      <span class="act-mark" aria-hidden="true">
        ·
      </span>
      <span class="log-text">
        <strong>{e.pool}</strong> {wordsOf(e)}
        {e.stack !== "" && (
          <details>
            <summary>Where</summary>
            <pre class="stack">{e.stack}</pre>
          </details>
        )}
      </span>
    </li>
  );
}

function wordsOf(e: Happening): string {
  const parts = [words[e.kind] ?? e.kind];
  if (e.death !== null) {
    parts.push(`#${e.conn} to ${e.death.peer === "" ? "an unknown peer" : e.death.peer}: ${e.death.words}, idle for ${seconds(e.death.idle_seconds)}`);
    if (e.death.detail !== "") parts.push(e.death.detail);
  } else {
    if (e.conn > 0) parts.push(`connection ${e.conn}`);
    if (e.cause !== "") parts.push(causeOf(e.cause).words);
    if (e.error !== "") parts.push(e.error);
  }
  if (e.after !== null && e.before !== null) {
    for (const name of Object.keys(e.after)) parts.push(`${name} ${e.before[name]} → ${e.after[name]}`);
  }
  return parts.join("; ");
}
