import { useEffect, useRef } from "preact/hooks";
import { useDark } from "../chart";
import { plural, seconds } from "../format";
import type { Track } from "./history";

// Mark is a moment at which the pool's limits changed.
export interface Mark {
  at: number; // seconds of the server since its start
  words: string;
}

interface Props {
  track: Track;
  bounds: number[]; // seconds; there is one row more, for what is longer
  now: number; // seconds of the server since its start
  span: number; // seconds that are shown
  marks: Mark[];
}

const height = 124;
const left = 62; // px for the lengths
const below = 16; // px for the times
const above = 5; // px, for half a line of text

// Heat shows how long callers waited, over time: a column for each event, a row for each length, the darker the more. A dashed line is a change of limits.
export function Heat({ track, bounds, now, span, marks }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = useDark();
  const shown = marks.filter((m) => now - m.at <= span);
  useEffect(() => {
    const el = canvas.current;
    if (el === null) return;
    const draw = () => paint(el, track, bounds, now, span, shown);
    draw();
    const resize = new ResizeObserver(draw);
    resize.observe(el);
    return () => resize.disconnect();
  }, [track, now, dark, marks.length]);
  return (
    <figure class="heat">
      <figcaption class="keys heat-key">How long callers waited: darker where more did{shown.length > 0 && "; dashed where limits changed"}</figcaption>
      <canvas ref={canvas} class="heat-canvas" style={{ height: `${height}px` }} role="img" aria-label={inWords(track, bounds)} />
      {shown.length > 0 && (
        <ul class="heat-marks">
          {shown.map((m) => (
            <li key={m.at}>
              {seconds(Math.max(0, now - m.at))} ago: {m.words}
            </li>
          ))}
        </ul>
      )}
    </figure>
  );
}

function inWords(track: Track, bounds: number[]): string {
  const sums = Array.from({ length: bounds.length + 1 }, (_, i) => track.waits.reduce((sum, column) => sum + (column[i] ?? 0), 0));
  const all = sums.reduce((a, b) => a + b, 0);
  if (all === 0) return "Nobody has waited in the last two minutes.";
  const longest = sums.length - 1 - [...sums].reverse().findIndex((n) => n > 0);
  const bound = bounds[longest];
  const most = bound === undefined ? `more than ${seconds(bounds[bounds.length - 1] ?? 0)}` : `at most ${seconds(bound)}`;
  return `In the last two minutes ${plural(all, "caller")} had to wait, the longest ${most}.`;
}

function paint(el: HTMLCanvasElement, track: Track, bounds: number[], now: number, span: number, marks: Mark[]) {
  const width = el.clientWidth;
  const c = el.getContext("2d");
  if (c === null || width === 0) return;
  const scale = devicePixelRatio;
  el.width = Math.round(width * scale);
  el.height = Math.round(height * scale);
  c.scale(scale, scale);
  const css = getComputedStyle(el);
  const color = (name: string) => css.getPropertyValue(name).trim();
  const rows = bounds.length + 1;
  const row = (height - below - above) / rows;
  const x = (t: number) => left + ((t - now + span) / span) * (width - left);

  c.fillStyle = color("--ground");
  c.fillRect(left, above, width - left, height - below - above);
  c.fillStyle = color("--quiet");
  c.font = `11px ${color("--sans")}`;
  c.textBaseline = "middle";
  c.textAlign = "right";
  for (let i = 0; i < rows; i += 3) {
    const bound = bounds[i];
    c.fillText(bound === undefined ? "longer" : `≤ ${seconds(bound)}`, left - 5, height - below - (i + 0.5) * row);
  }
  c.textAlign = "center";
  for (const t of [-90, -60, -30]) c.fillText(`−${-t} s`, x(now + t), height - below / 2);
  c.textAlign = "right";
  c.fillText("now", width, height - below / 2);

  const most = Math.max(1, ...track.waits.flat());
  c.fillStyle = color("--dead");
  track.times.forEach((t, k) => {
    const before = track.times[k - 1];
    if (before === undefined || t < now - span) return;
    const from = Math.max(left, x(before));
    const wide = Math.max(1, x(t) - from - 0.5);
    track.waits[k]?.forEach((n, i) => {
      if (n === 0) return;
      c.globalAlpha = 0.25 + 0.75 * (Math.log1p(n) / Math.log1p(most));
      c.fillRect(from, height - below - (i + 1) * row, wide, row - 0.5);
    });
  });
  c.globalAlpha = 1;
  c.strokeStyle = color("--ink");
  c.setLineDash([3, 3]);
  for (const m of marks) {
    c.beginPath();
    c.moveTo(x(m.at), above);
    c.lineTo(x(m.at), height - below);
    c.stroke();
  }
}
