import { useState } from "preact/hooks";
import { causeOf } from "../causes";
import { bytes, clock, seconds } from "../format";
import type { Ending } from "./history";

const shownMax = 200;

type Whose = "all" | "hurt" | "ours";

// Endings lists the connections that ended, newest first.
export function Endings({ endings, pools }: { endings: Ending[]; pools: string[] }) {
  const [whose, setWhose] = useState<Whose>("all");
  const [pool, setPool] = useState("");
  const [text, setText] = useState("");

  const wanted = endings.filter(
    (e) =>
      (whose === "all" || e.death.ours === (whose === "ours")) &&
      (pool === "" || e.pool === pool) &&
      (text === "" || line(e).toLowerCase().includes(text.toLowerCase())),
  );
  return (
    <section class="endings" aria-label="Connections that ended">
      <div class="endings-head">
        <h2>Connections that ended</h2>
        <div class="filters">
          <label>
            <span class="unseen">Decided by</span>
            <select value={whose} onChange={(e) => setWhose(e.currentTarget.value as Whose)}>
              <option value="all">all causes</option>
              <option value="hurt">by peer, path or user</option>
              <option value="ours">by our own decision</option>
            </select>
          </label>
          <label>
            <span class="unseen">Pool</span>
            <select value={pool} onChange={(e) => setPool(e.currentTarget.value)}>
              <option value="">all pools</option>
              {pools.map((p) => (
                <option key={p} value={p}>
                  {p}
                </option>
              ))}
            </select>
          </label>
          <label>
            <span class="unseen">Text</span>
            <input type="search" placeholder="Find cause, peer, words" value={text} onInput={(e) => setText(e.currentTarget.value)} />
          </label>
        </div>
      </div>
      {wanted.length === 0 ? (
        <p class="hint">{endings.length === 0 ? "None has ended yet." : "None matches the filter."}</p>
      ) : (
        <ol class="log" tabIndex={0} aria-label="Connections that ended, newest first">
          {wanted.slice(0, shownMax).map((e) => (
            <Row key={e.key} ending={e} />
          ))}
        </ol>
      )}
      {wanted.length > shownMax && <p class="quiet">{wanted.length - shownMax} older ones are not shown.</p>}
    </section>
  );
}

function Row({ ending }: { ending: Ending }) {
  const { death } = ending;
  return (
    <li class="log-row">
      <span class="log-time">{ending.at === null ? "earlier" : clock(ending.at)}</span>
      <span class={`tile tile-small tile-closed${death.ours ? " tile-ours" : ""}`} aria-hidden="true">
        <span class="tile-letter">{causeOf(death.cause).letter}</span>
      </span>
      <span class="log-text">
        <strong>{ending.pool}</strong> {line(ending)}
      </span>
    </li>
  );
}

function line({ death }: Ending): string {
  const sent = death.bytes_sent > 0 ? `, ${bytes(death.bytes_sent)} of a request had left` : "";
  const kernel = death.errno !== 0 ? ` (${death.errno_words})` : "";
  const detail = death.detail === "" ? "" : ` – ${death.detail}`;
  const peer = death.peer === "" ? "" : ` to ${death.peer}`;
  return `connection ${death.id}${peer}: ${death.words}${kernel}; aged ${seconds(death.age_seconds)}, silent for ${seconds(death.idle_seconds)}${sent}${detail}`;
}
