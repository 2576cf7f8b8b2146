import { count, seconds } from "../format";
import type { Timing } from "./api";

const words: Record<string, string> = { dial: "Dials", ping: "Pings" };

// Timings says how long the phases of a pool's work took.
export function Timings({ timings }: { timings: Timing[] }) {
  return (
    <ul class="timings" aria-label="How long it took">
      {timings.map((t) => (
        <li key={t.phase}>
          <strong>{words[t.phase] ?? t.phase}</strong> half within {seconds(t.p50_seconds)}, 99 % within {seconds(t.p99_seconds)}, the slowest {seconds(t.max_seconds)}{" "}
          <span class="quiet">({count(t.count)} so far; of the newest 256)</span>
        </li>
      ))}
    </ul>
  );
}
