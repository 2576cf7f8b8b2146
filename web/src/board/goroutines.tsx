import { useState } from "preact/hooks";
import { clock, count, plural } from "../format";
import type { Goroutines as Answer } from "./api";

const profiles: [string, string][] = [
  ["goroutine?debug=1", "goroutines"],
  ["block?debug=1", "blocking"],
  ["mutex?debug=1", "mutexes"],
  ["heap?debug=1", "heap"],
];

// Goroutines shows, when asked, what the program's goroutines do for its pools, and where its profiles are.
export function Goroutines() {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [profiled, setProfiled] = useState(false);
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);

  const look = async () => {
    setBusy(true);
    setTrouble("");
    try {
      const res = await fetch("api/goroutines", { signal: AbortSignal.timeout(10_000) });
      if (!res.ok) throw new Error((await res.text()).trim());
      const got = (await res.json()) as Answer;
      setAnswer(got);
      const there = await fetch(got.profiles, { method: "HEAD", redirect: "error", signal: AbortSignal.timeout(5_000) }).catch(() => null);
      setProfiled(there?.ok === true);
    } catch (e) {
      setTrouble(e instanceof Error ? e.message : String(e));
    }
    setBusy(false);
  };

  return (
    <section class="endings goroutines" aria-label="Goroutines">
      <div class="endings-head">
        <h2>What goroutines do for the pools</h2>
        <button type="button" class="button" disabled={busy} onClick={() => void look()}>
          {answer === null ? "Look" : "Look again"}
        </button>
      </div>
      {trouble !== "" && (
        <p class="trouble act-trouble" role="alert">
          They could not be looked at: {trouble}
        </p>
      )}
      {answer === null ? <p class="hint">A look reads the stack of every goroutine, for which the program stands still for a moment.</p> : <Found answer={answer} />}
      {profiled && answer !== null && (
        <p class="quiet">
          Profiles:{" "}
          {profiles.map(([path, name]) => (
            <a key={path} class="profile" href={answer.profiles + path}>
              {name}
            </a>
          ))}{" "}
          (those of blocking and mutexes are empty until runtime.SetBlockProfileRate and SetMutexProfileFraction turn them on)
        </p>
      )}
    </section>
  );
}

function Found({ answer }: { answer: Answer }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Goroutines by pool">
      <p class="quiet">
        {plural(answer.total, "goroutine")} at {clock(new Date(answer.now))}; {answer.groups.length === 0 ? "none does anything for a pool." : "those that do something for a pool:"}
        {answer.left_out && " Not all could be read."}
        {answer.groups_left_out > 0 && ` ${plural(answer.groups_left_out, "group")} more.`}
      </p>
      {answer.groups.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Pool</th>
              <th scope="col" class="right">
                How many
              </th>
              <th scope="col">What</th>
              <th scope="col">From where</th>
              <th scope="col">State</th>
            </tr>
          </thead>
          <tbody>
            {answer.groups.map((g) => (
              <tr key={`${g.pool}/${g.doing}/${g.site}/${g.state}`}>
                <th scope="row">{g.pool === "" ? "(the stack does not tell)" : g.pool}</th>
                <td class="right">{count(g.count)}</td>
                <td>{g.doing}</td>
                <td>{g.site === "" ? "Herz" : <code>{g.site}</code>}</td>
                <td>{g.state}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}
