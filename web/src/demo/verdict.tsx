import type { Verdict } from "./api";

// VerdictBox is the last word of a demo.
export function VerdictBox({ verdict }: { verdict: Verdict }) {
  return (
    <section class={`verdict ${verdict.good ? "verdict-good" : "verdict-bad"}`} aria-labelledby="verdict-title">
      <h2 id="verdict-title">{verdict.good ? "Herz did not fail" : "Herz failed here"}</h2>
      <ul>
        {verdict.lines.map((l) => (
          <li key={l}>{l}</li>
        ))}
      </ul>
    </section>
  );
}
