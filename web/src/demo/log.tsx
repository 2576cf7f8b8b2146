import type { Line } from "./api";

const shownMax = 300;

// LogList says what happened, newest first.
export function LogList({ lines }: { lines: Line[] }) {
  if (lines.length === 0) return null;
  const newest = [...lines].sort((a, b) => b.t - a.t).slice(0, shownMax);
  return (
    <section aria-label="What happened">
      <h2>What happened</h2>
      <ol class="log" tabIndex={0} aria-label="What happened, newest first">
        {newest.map((l, i) => (
          <li class={`log-row log-${l.kind}`} key={`${l.t}/${l.client}/${i}`}>
            <span class="log-time">{l.t.toFixed(1)} s</span>
            <span class="log-mark" aria-hidden="true" />
            <span class="log-text">
              {l.client !== "" && <strong>{l.client} </strong>}
              {l.text}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
