import { clock, plural, seconds } from "../format";
import type { Leak } from "./api";

// Leaks lists the places in the program that lose leases or hold them for long, newest first.
export function Leaks({ leaks }: { leaks: Leak[] }) {
  return (
    <section class="endings leaks" aria-label="Leaks">
      <h2>Leases lost, or held for long</h2>
      <ol class="log" tabIndex={0} aria-label="Leaks, newest first">
        {leaks.map((l) => (
          <li class="log-row" key={`${l.pool}/${l.held}/${l.stack}`}>
            <span class="log-time" title={l.last}>
              {clock(new Date(l.last))}
            </span>
            <span class="act-mark" aria-hidden="true">
              {l.held ? "…" : "!"}
            </span>
            <span class="log-text">
              <strong>{l.pool}</strong> {plural(l.count, "lease")} {l.held ? `held for long, the newest for ${seconds(l.seconds)}` : "never returned"}, of connection {l.conn} last
              {l.stack === "" ? (
                <span class="quiet"> Where it was borrowed was not sampled: set LeakAfter to know it of each.</span>
              ) : (
                <details open={leaks.length === 1}>
                  <summary>Borrowed at {top(l.stack)}</summary>
                  <pre class="stack">{l.stack}</pre>
                </details>
              )}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

// top is the first function of a stack, without its package's path.
function top(stack: string): string {
  const line = stack.split("\n", 1)[0] ?? "";
  return line.slice(line.lastIndexOf("/") + 1);
}
