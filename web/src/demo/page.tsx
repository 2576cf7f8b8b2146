import { useState } from "preact/hooks";
import { Announce } from "../announce";
import { Legend } from "../legend";
import { LinkBadge } from "../link";
import { Mark } from "../mark";
import { useStream } from "../stream";
import { type Demo, type Full, full } from "./api";
import { ClientPanel } from "./client";
import { Figures } from "./figures";
import { LogList } from "./log";
import { Timeline } from "./timeline";
import { VerdictBox } from "./verdict";

const everySeconds = 0.25; // between two events

export function Page() {
  const [demo, setDemo] = useState<Full | null>(null);
  const take = (state: Demo) => {
    setDemo(full(state));
    return !state.done;
  };
  const link = useStream("api/demo/events", { take, every: () => everySeconds });
  return (
    <>
      <header class="top">
        <Mark />
        <div class="top-title">
          <h1>Connections that fail silently</h1>
          <p class="quiet">The same requests and the same faults for every client. {demo !== null && servers(demo)}</p>
        </div>
        <LinkBadge link={link} />
        {demo !== null && demo.board !== "" && (
          <a class="button" href={demo.board}>
            Open the board
          </a>
        )}
      </header>
      <main class={link === "lost" ? "faded" : ""}>
        {demo === null ? (
          <p class="hint">{link === "lost" ? "The demo does not answer. Is it still running?" : "Waiting for the first numbers."}</p>
        ) : (
          <Shown demo={demo} />
        )}
      </main>
      <Announce text={demo === null ? "" : news(demo)} />
    </>
  );
}

function servers(d: Full): string {
  const named = (what: string, where: string) => (where === "" ? "" : `${what}: ${where}`);
  return [named("MySQL", d.mysql), named("Redis", d.redis), `seed ${d.seed}`].filter((x) => x !== "").join(" · ");
}

function Shown({ demo }: { demo: Full }) {
  return (
    <>
      {demo.verdict !== null && <VerdictBox verdict={demo.verdict} />}
      <Timeline demo={demo} />
      <div class="clients">
        {demo.clients.map((c) => (
          <ClientPanel key={c.name} client={c} demo={demo} />
        ))}
      </div>
      <Legend demo />
      <Figures clients={demo.clients} />
      <LogList lines={demo.log} />
    </>
  );
}

// news is what a screen reader is told: the fault that runs, or the verdict.
function news(d: Full): string {
  if (d.verdict !== null) return `Verdict: ${d.verdict.lines.join(" ")}`;
  const active = d.faults.filter((f) => f.state === "active");
  if (active.length > 0) return active.map((f) => `Fault: ${f.title}. ${f.words}`).join(" ");
  return d.faults.some((f) => f.state === "over") ? "The fault is over." : "";
}
