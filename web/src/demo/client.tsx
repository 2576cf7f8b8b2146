import { useMemo } from "preact/hooks";
import { Chart, type Series } from "../chart";
import type { Tile } from "../conn";
import { count, plural, seconds } from "../format";
import { stateOf } from "../states";
import { Wall } from "../wall";
import { stretch } from "./timeline";
import type { Bucket, Client, Conn, Full, Kind } from "./api";

export const kinds: Record<Kind, string> = { article: "the article’s pool", stock: "as used today", herz: "Herz" };

const patience = 3.3; // seconds: a request has a budget of 3.2

const lines: Series[] = [
  { label: "right", color: "--good", fill: true },
  { label: "wrong, empty, failed or twice", color: "--dead", bars: true },
];

// ClientPanel shows one client: what it suffers now, what it has counted, and its connections.
export function ClientPanel({ client, demo }: { client: Client; demo: Full }) {
  const conns = client.conns ?? [];
  return (
    <section class={`client client-${client.kind}`} aria-label={`${client.name}, ${kinds[client.kind]}`}>
      <header class="client-head">
        <p class={`badge badge-${client.kind}`}>{kinds[client.kind]}</p>
        <h2>{client.name}</h2>
        <p class="quiet client-about">{client.about}</p>
      </header>
      <Suffering client={client} demo={demo} />
      <dl class="counters">
        <Counter name="right" value={count(client.right)} good />
        <Counter name="wrong" value={count(client.wrong)} bad={client.wrong > 0} />
        <Counter name="empty" value={count(client.empty)} bad={client.empty > 0} />
        <Counter name="twice" value={count(client.duplicates)} bad={client.duplicates > 0} />
        <Counter name="errors" value={count(client.errors)} warn={client.errors > 0} />
        <Counter name="longest stall" value={seconds(client.longest_stall_seconds)} bad={client.longest_stall_seconds > patience} />
      </dl>
      <Spark client={client} demo={demo} />
      <Wall label={client.name} stay={6} live={conns.filter((c) => c.state !== "closed").map(tile)} endings={conns.filter((c) => c.state === "closed").map(tile)} />
      <p class="quiet client-foot">
        {plural(client.requests, "request")} · {count(client.in_flight)} in flight
        {client.dead_lent > 0 && <strong class="bad-text"> · {plural(client.dead_lent, "dead connection")} lent</strong>}
      </p>
    </section>
  );
}

// Suffering says how the client is: red while its answers are wrong or hang, amber while it fails honestly or has done harm.
function Suffering({ client, demo }: { client: Client; demo: Full }) {
  const { done } = demo;
  const past = harm(client);
  if (client.suffering !== "") {
    return <Condition look={harmful(client, demo.now_seconds) ? "now" : "past"} text={client.suffering} />;
  }
  if (past !== "") return <Condition look="past" text={done ? `It ${past}.` : `Well now. It ${past}.`} />;
  if (!done) return <Condition look="well" text="Well." />;
  return <Condition look="well" text={client.errors > 0 ? "No wrong answer, no long stall; it failed quickly and honestly." : "Every answer was right, and in time."} />;
}

function Condition({ look, text }: { look: "now" | "past" | "well"; text: string }) {
  return (
    <p class={`suffering suffering-${look}`}>
      <Sign bad={look !== "well"} />
      {text}
    </p>
  );
}

// harm says what a client has done wrong so far; empty when nothing.
function harm(c: Client): string {
  const did = [];
  const answers = [c.wrong > 0 ? `${count(c.wrong)} wrong` : "", c.empty > 0 ? `${count(c.empty)} empty` : ""].filter((x) => x !== "");
  if (answers.length > 0) did.push(`gave ${answers.join(" and ")} ${c.wrong + c.empty === 1 ? "answer" : "answers"}`);
  if (c.duplicates > 0) did.push(`ran ${plural(c.duplicates, "request")} twice`);
  if (c.longest_stall_seconds > patience) did.push(`hung for ${seconds(c.longest_stall_seconds)}`);
  return did.length < 2 ? did.join("") : `${did.slice(0, -1).join(", ")} and ${did[did.length - 1]}`;
}

// harmful tells whether a client does harm in these seconds: gives wrong answers, or has given none at all for longer than a
// request may take.
function harmful(c: Client, now: number): boolean {
  const recent = (c.history ?? []).filter((b) => b.t >= now - 2);
  const answered = (c.history ?? []).some((b) => b.t >= now - patience - bucket && b.right + b.errors > 0);
  return recent.some((b) => b.wrong + b.empty + b.duplicates > 0 || b.stall_seconds > patience) || (c.in_flight > 0 && now > 5 && !answered);
}

function Sign({ bad }: { bad: boolean }) {
  return (
    <svg class="sign" viewBox="0 0 16 16" aria-hidden="true">
      <path d={bad ? "M8 1.5 15 14H1L8 1.5ZM8 6v4M8 11.7v.6" : "M2.5 8.5 6.5 12.5 13.5 4"} />
    </svg>
  );
}

interface CounterProps {
  name: string;
  value: string;
  good?: boolean;
  bad?: boolean;
  warn?: boolean;
}

function Counter({ name, value, good = false, bad = false, warn = false }: CounterProps) {
  const look = bad ? " counter-bad" : warn ? " counter-warn" : good ? "" : " counter-calm";
  return (
    <div class={`counter${look}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function tile(c: Conn): Tile {
  return { id: c.id, state: stateOf(c.state), peer: c.peer, age: c.age_seconds, idle: c.idle_seconds, cause: c.cause, facts: () => [], note: c.note };
}

// Spark draws the answers over the time of the track; the faults are the shaded stretches.
function Spark({ client, demo }: { client: Client; demo: Full }) {
  const [from, to] = stretch(demo);
  const data = useMemo(() => filled(client.history ?? [], demo.now_seconds), [demo]);
  const bands = demo.faults.filter((f) => f.state === "active" || f.state === "over").map((f) => ({ from: f.start_seconds, to: f.end_seconds }));
  return (
    <Chart
      label={`Answers over time: ${count(client.right)} right, ${count(client.requests - client.right - client.in_flight)} not.`}
      height={72}
      series={lines}
      data={data}
      bands={bands}
      range={[from, to]}
    />
  );
}

const bucket = 0.5; // seconds

// filled gives the history with the buckets in which nothing was answered; the one that is being filled is left out.
function filled(history: Bucket[], now: number): [number[], number[], number[]] {
  const first = history[0];
  const data: [number[], number[], number[]] = [[], [], []];
  if (first === undefined) return data;
  const known = new Map(history.map((b) => [Math.round(b.t / bucket), b]));
  for (let n = Math.round(first.t / bucket); (n + 1) * bucket <= now; n++) {
    const b = known.get(n);
    data[0].push(n * bucket);
    data[1].push(b?.right ?? 0);
    data[2].push(b === undefined ? 0 : b.wrong + b.empty + b.errors + b.duplicates);
  }
  return data;
}
