import { states, type State } from "./states";
import { causes } from "./causes";

const order: State[] = ["in_use", "idle", "checking", "dialing", "stale", "closing"];

// Legend says what the tiles mean.
export function Legend({ demo = false }: { demo?: boolean }) {
  return (
    <div class="legend">
      <ul class="legend-list" aria-label="What the tiles mean">
        {order.map((s) => (
          <li key={s} title={states[s].words}>
            <Sample kind={s} letter={states[s].letter} />
            {states[s].label}
          </li>
        ))}
        <li title="ended by the peer, the path or the user">
          <Sample kind="closed" letter="F" />
          ended by peer or path
        </li>
        <li title="ended by our own decision">
          <Sample kind="closed tile-ours" letter="l" />
          ended by us
        </li>
        {demo && (
          <li title="the server has ended it, and the pool takes it for a good one">
            <Sample kind="idle tile-undead" letter="!" />
            dead, and still in the pool
          </li>
        )}
        {demo && (
          <li title="the client keeps no record of why">
            <Sample kind="closed tile-unknown" letter="?" />
            gone, nobody knows why
          </li>
        )}
      </ul>
      <details class="legend-more">
        <summary>All letters</summary>
        <dl class="legend-causes">
          {Object.entries(causes).map(([name, c]) => (
            <div key={name}>
              <dt>
                <Sample kind={c.ours ? "closed tile-ours" : "closed"} letter={c.letter} />
              </dt>
              <dd>
                {c.words} <code>{name}</code>
              </dd>
            </div>
          ))}
        </dl>
      </details>
    </div>
  );
}

function Sample({ kind, letter }: { kind: string; letter: string }) {
  return (
    <span class={`tile tile-small tile-${kind}`} aria-hidden="true">
      {kind === "idle" && <span class="tile-bar tile-bar-sample" />}
      <span class="tile-letter">{letter}</span>
    </span>
  );
}
