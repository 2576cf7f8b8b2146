import { count, seconds } from "../format";
import type { Client } from "./api";
import { kinds } from "./client";

// Figures is the same as the panels, as one table.
export function Figures({ clients }: { clients: Client[] }) {
  const numbers: [string, (c: Client) => string][] = [
    ["Requests", (c) => count(c.requests)],
    ["Right", (c) => count(c.right)],
    ["Wrong", (c) => count(c.wrong)],
    ["Empty", (c) => count(c.empty)],
    ["Twice", (c) => count(c.duplicates)],
    ["Errors", (c) => count(c.errors)],
    ["Longest stall", (c) => seconds(c.longest_stall_seconds)],
    ["Dead lent", (c) => count(c.dead_lent)],
  ];
  return (
    <section aria-label="All figures">
      <h2>All figures</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="All figures as a table">
        <table>
          <thead>
            <tr>
              <th scope="col">Client</th>
              {numbers.map(([name]) => (
                <th key={name} scope="col" class="right">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {clients.map((c) => (
              <tr key={c.name}>
                <th scope="row">
                  {c.name} <span class="quiet">{kinds[c.kind]}</span>
                </th>
                {numbers.map(([name, of]) => (
                  <td key={name} class="right">
                    {of(c)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
