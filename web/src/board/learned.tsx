import { seconds } from "../format";
import type { Lesson } from "./api";

// Learned says after how long something closes idle connections, with the evidence, and what to do.
export function Learned({ lessons }: { lessons: Lesson[] }) {
  return (
    <ul class="learned" aria-label="Learned idle time-outs">
      {lessons.map((l) => (
        <li key={l.peer}>
          Something closes connections to {l.peer} that were idle for <strong>{seconds(l.ceiling_seconds)}</strong> ± {seconds(l.spread_seconds)} ({l.agree} of {l.of}
          {l.known.length > 0 && <>; {l.known.join(", ")} would</>}).{" "}
          {l.limit_seconds > 0 ? <>The pool's limit was set to {seconds(l.limit_seconds)}.</> : <>Set MaxIdleTime to {seconds(l.advised_seconds)}.</>}
        </li>
      ))}
    </ul>
  );
}
