import { seconds } from "../format";
import type { Fault, Full } from "./api";

const stateWords: Record<Fault["state"], string> = { coming: "coming", active: "now", over: "over", left_out: "left out" };

// Timeline shows when each fault strikes and where the demo is, and says the faults in words.
export function Timeline({ demo }: { demo: Full }) {
  const [from, to] = stretch(demo);
  const whole = to - from;
  const percent = (t: number) => `${Math.min(100, Math.max(0, ((t - from) / whole) * 100))}%`;
  const struck = demo.faults.filter((f) => f.state !== "left_out");
  const names = [...new Set(struck.map((f) => f.name))]; // a script that repeats has each fault several times
  const left = demo.faults.filter((f) => f.state === "left_out");
  return (
    <section class="timeline" aria-label="Faults">
      <div class="timeline-head">
        <h2>Faults</h2>
        <p class="timeline-clock">
          <strong>{clockOf(demo.now_seconds)}</strong>
          {demo.duration_seconds > 0 ? ` of ${clockOf(demo.duration_seconds)}` : " · until it is stopped"}
        </p>
      </div>
      <div class="track" aria-hidden="true">
        <div class="track-past" style={{ width: percent(demo.now_seconds) }} />
        {struck
          .filter((f) => f.end_seconds > from && f.start_seconds < to)
          .map((f) => {
            const start = Math.max(f.start_seconds, from);
            return (
              <div
                key={`${f.name}/${f.start_seconds}`}
                class={`track-fault track-${f.state}`}
                style={{ left: percent(start), width: percent(from + Math.max(Math.min(f.end_seconds, to) - start, whole / 150)) }}
              >
                <span>{names.indexOf(f.name) + 1}</span>
              </div>
            );
          })}
        {!demo.done && <div class="track-now" style={{ left: percent(demo.now_seconds) }} />}
      </div>
      <ol class="faults">
        {names.map((name, i) => (
          <FaultLine key={name} fault={telling(struck.filter((f) => f.name === name))} number={i + 1} now={demo.now_seconds} />
        ))}
      </ol>
      {left.length > 0 && (
        <ul class="faults-left">
          {left.map((f) => (
            <li key={f.name}>
              <strong>Left out: {f.title}.</strong> {f.why ?? ""}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

// stretch is the time that the track shows: the whole of a short demo, a minute around now of a long one.
export function stretch(demo: Full): [number, number] {
  const { duration_seconds: whole, now_seconds: now } = demo;
  if (whole > 0 && whole <= 150) return [0, Math.max(whole, now)];
  const from = Math.max(0, now - 30);
  return [from, from + 60];
}

// telling is the time of a fault that matters now: the one that strikes, else the next, else the last.
function telling(times: Fault[]): Fault {
  return (times.find((f) => f.state === "active") ?? times.find((f) => f.state === "coming") ?? times[times.length - 1]) as Fault;
}

function FaultLine({ fault, number, now }: { fault: Fault; number: number; now: number }) {
  return (
    <li class={`fault fault-${fault.state}`}>
      <span class="fault-number" aria-hidden="true">
        {number}
      </span>
      <div>
        <p class="fault-title">
          {fault.title} <span class="fault-state">{when(fault, now)}</span>
        </p>
        <p class="fault-words">{fault.words}</p>
      </div>
    </li>
  );
}

function when(f: Fault, now: number): string {
  if (f.state === "coming" && f.start_seconds > now) return `in ${seconds(Math.max(1, Math.round(f.start_seconds - now)))}`;
  if (f.state === "active" && f.end_seconds > now) return `now, ${seconds(Math.max(1, Math.round(f.end_seconds - now)))} left`;
  return stateWords[f.state];
}

function clockOf(s: number): string {
  const whole = Math.floor(s);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
