import { clock, plural } from "../format";
import type { Unasked } from "./api";

// Cut names the places in the program at which results were cut short, and nobody looked.
export function Cut({ places }: { places: Unasked[] }) {
  const times = places.reduce((sum, p) => sum + p.count, 0);
  return (
    <section class="trouble" aria-label="Results cut short, and nobody looked">
      <p>
        <strong>
          {times === 1 ? "A result was" : `${plural(times, "result")} were`} cut short, and nobody looked.
        </strong>{" "}
        The program took a part for the whole: ask <code>rows.Err()</code> after the loop.
      </p>
      <ol class="places">
        {places.map((p) => (
          <li key={p.site}>
            <code>{p.site}</code> {p.count === 1 ? "once" : `${p.count} times`}, last seen at {clock(new Date(p.last))}: {p.death.words}
            {p.death.peer === "" ? "" : ` (connection ${p.death.id} to ${p.death.peer})`}
          </li>
        ))}
      </ol>
    </section>
  );
}
