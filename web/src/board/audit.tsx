import { clock, seconds } from "../format";
import type { Act } from "./api";

const marks: Record<Act["outcome"], string> = { done: "✓", failed: "!", refused: "×" };

// Audit lists who changed what, newest first.
export function Audit({ acts }: { acts: Act[] }) {
  return (
    <section class="endings audit" aria-label="Who changed what">
      <h2>Who changed what</h2>
      {acts.length === 0 ? (
        <p class="hint">Nobody has changed anything yet.</p>
      ) : (
        <ol class="log" tabIndex={0} aria-label="Actions, newest first">
          {acts.map((a) => (
            <Row key={a.id} act={a} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Row({ act }: { act: Act }) {
  return (
    <li class={`log-row act-${act.outcome}`}>
      <span class="log-time" title={act.at}>
        {clock(new Date(act.at))}
      </span>
      <span class="act-mark" aria-hidden="true">
        {marks[act.outcome]}
      </span>
      <span class="log-text">
        <strong>{act.pool}</strong> {act.action} {act.outcome === "done" ? "" : <strong class="act-word">{act.outcome}</strong>} {line(act)}
      </span>
    </li>
  );
}

function line(act: Act): string {
  const parts = [`by ${act.who === "" ? "somebody" : act.who} from ${act.from}`];
  if (act.outcome !== "refused") {
    if (act.action === "evict") parts.push(`${act.closed} closed`);
    else if (act.before !== null && act.after !== null) parts.push(changes(act));
    if (act.seconds >= 0.1) parts.push(`took ${seconds(act.seconds)}`);
  }
  if (act.detail !== "") parts.push(act.detail);
  if (act.reason !== "") parts.push(`“${act.reason}”`);
  return parts.filter((p) => p !== "").join("; ");
}

// changes says what is not as it was.
export function changes(act: Act): string {
  const { before, after } = act;
  if (before === null || after === null) return "";
  return Object.keys(after)
    .filter((name) => after[name] !== before[name])
    .map((name) => `${name} ${before[name]} → ${after[name]}`)
    .join(", ");
}
