import { causeOf } from "../causes";
import { count, seconds } from "../format";
import { stateOf, states } from "../states";
import type { Source } from "./api";

// Table is the wall in words.
export function Table({ source }: { source: Source }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Connections of ${source.name} as a table`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Connection</th>
            <th scope="col">State</th>
            <th scope="col">Peer</th>
            <th scope="col" class="right">Age</th>
            <th scope="col" class="right">Idle</th>
            <th scope="col" class="right">Held</th>
            <th scope="col" class="right">Uses</th>
            <th scope="col">Why unfit</th>
          </tr>
        </thead>
        <tbody>
          {source.conns.map((c) => (
            <tr key={c.id}>
              <th scope="row">{c.id}</th>
              <td>{states[stateOf(c.state)].label}</td>
              <td>
                <code>{c.peer}</code>
              </td>
              <td class="right">{seconds(c.age_seconds)}</td>
              <td class="right">{c.state === "in_use" ? "" : seconds(c.idle_seconds)}</td>
              <td class="right">{c.state === "in_use" ? seconds(c.held_seconds) : ""}</td>
              <td class="right">{count(c.uses)}</td>
              <td>{c.cause === "" ? "" : causeOf(c.cause).words}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
