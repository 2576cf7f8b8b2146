import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useDark } from "./chart";
import { fill, gone, letterOf, lookOf, nameOf, type Tile, titleOf } from "./conn";

interface Props {
  label: string;
  slots: (Tile | null)[];
  onOpen: (tile: Tile) => void;
}

// Field is a wall of more connections than a page can hold elements for: it paints them, and of them only what changed. One button lies over
// the chosen one, for those who come by keyboard, and the line below says what it is.
export function Field({ label, slots, onOpen }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const painter = useRef<Painter>();
  const latest = useRef(slots);
  latest.current = slots;
  const dark = useDark();
  const [grid, setGrid] = useState<Grid>({ width: 0, columns: 1, w: 7, h: 9, gap: 1 });
  const [at, setAt] = useState(0);
  const [hover, setHover] = useState<number | null>(null);
  const [moved, setMoved] = useState(""); // what the keyboard came to: said once, and not again when its state changes

  useEffect(() => {
    const el = canvas.current;
    if (el === null) return;
    const made = new Painter(el);
    painter.current = made;
    const fit = () => setGrid(made.fit(latest.current.length));
    fit();
    const resize = new ResizeObserver(() => el.clientWidth !== made.grid.width && fit());
    resize.observe(el);
    return () => {
      resize.disconnect();
      made.stop();
    };
  }, [dark]);

  useLayoutEffect(() => {
    const p = painter.current;
    if (p === undefined) return;
    if (p.outgrown(slots.length)) setGrid(p.fit(slots.length));
    p.paint(slots);
  }, [slots, grid]);

  const chosen = Math.min(at, slots.length - 1);
  const shown = slots[hover ?? chosen] ?? null;
  const tile = slots[chosen] ?? null;

  const move = (e: KeyboardEvent) => {
    const step: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: grid.columns,
      ArrowUp: -grid.columns,
      Home: -slots.length,
      End: slots.length,
    };
    const by = step[e.key];
    if (by === undefined) return;
    e.preventDefault();
    setHover(null);
    const to = nearest(slots, Math.max(0, Math.min(slots.length - 1, chosen + by)), by > 0 ? 1 : -1);
    setAt(to);
    const there = slots[to];
    if (there) setMoved(nameOf(there));
  };
  const under = (e: MouseEvent): number | null => {
    const i = Math.floor(e.offsetY / (grid.h + grid.gap)) * grid.columns + Math.floor(e.offsetX / (grid.w + grid.gap));
    return slots[i] ? i : null;
  };

  return (
    <div class="field-wall" role="group" aria-label={`${label}: ${slots.length} connections; arrow keys move`}>
      <div class="field-sheet">
        <canvas
          ref={canvas}
          class="field-canvas"
          aria-hidden="true"
          onMouseMove={(e) => setHover(under(e))}
          onMouseLeave={() => setHover(null)}
          onClick={(e) => {
            const i = under(e);
            const t = i === null ? null : slots[i];
            if (i === null || !t) return;
            setAt(i);
            onOpen(t);
          }}
        />
        {tile !== null && (
          <button
            type="button"
            class="field-cursor"
            aria-label={nameOf(tile)}
            style={{
              left: `${(chosen % grid.columns) * (grid.w + grid.gap)}px`,
              top: `${Math.floor(chosen / grid.columns) * (grid.h + grid.gap)}px`,
              width: `${grid.w}px`,
              height: `${grid.h}px`,
            }}
            onKeyDown={move}
            onClick={() => onOpen(tile)}
          />
        )}
      </div>
      <p class="quiet field-line">{shown === null ? "" : titleOf(shown)}</p>
      <p class="unseen" aria-live="polite">
        {moved}
      </p>
    </div>
  );
}

// nearest is the first place from at on that has a connection.
function nearest(slots: (Tile | null)[], at: number, way: 1 | -1): number {
  for (let i = at; i >= 0 && i < slots.length; i += way) if (slots[i]) return i;
  for (let i = at; i >= 0 && i < slots.length; i -= way) if (slots[i]) return i;
  return at;
}

interface Grid {
  width: number;
  columns: number;
  w: number;
  h: number;
  gap: number;
}

const sizes: Pick<Grid, "w" | "h" | "gap">[] = [
  { w: 26, h: 34, gap: 4 },
  { w: 18, h: 23, gap: 3 },
  { w: 13, h: 17, gap: 2 },
  { w: 9, h: 12, gap: 2 },
  { w: 7, h: 9, gap: 1 },
];

const tall = 600; // px that a field should not exceed
const pulse = 600; // ms for which an answered ping is seen

// Painter keeps what was painted at each place, so that a second in which little happens costs little.
class Painter {
  grid: Grid = { width: 0, columns: 1, w: 7, h: 9, gap: 1 };
  private readonly c: CanvasRenderingContext2D | null;
  private colors: Record<string, string> = {};
  private mono = "";
  private painted: string[] = [];
  private beats = new Map<number, number>(); // by connection
  private pulses = new Map<number, number>(); // by place: when it began
  private slots: (Tile | null)[] = [];
  private rows = 0;
  private frame = 0;
  private readonly still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  constructor(private readonly el: HTMLCanvasElement) {
    this.c = el.getContext("2d");
  }

  // outgrown tells whether so many tiles need another grid.
  outgrown(n: number): boolean {
    return Math.ceil(n / this.grid.columns) > this.rows;
  }

  fit(n: number): Grid {
    const width = this.el.clientWidth;
    if (width === 0) return this.grid; // it is not shown now
    const css = getComputedStyle(this.el);
    const names = ["idle", "idle-edge", "idle-bar", "in-use", "in-use-ink", "checking", "checking-ink", "stale", "stale-ink", "closing", "closing-ink"];
    for (const name of [...names, "dead", "dead-ink", "dead-text", "ours", "line", "line-strong", "quiet", "accent"]) {
      this.colors[name] = css.getPropertyValue(`--${name}`).trim();
    }
    this.mono = css.getPropertyValue("--mono").trim();
    let size = sizes[sizes.length - 1] as (typeof sizes)[number];
    let columns = 1;
    for (const s of sizes) {
      columns = Math.max(1, Math.floor((width + s.gap) / (s.w + s.gap)));
      size = s;
      if (Math.ceil(n / columns) * (s.h + s.gap) <= tall) break;
    }
    this.rows = Math.ceil(n / columns) + 2; // for some that come
    this.grid = { width, columns, ...size };
    const height = this.rows * (size.h + size.gap);
    const scale = devicePixelRatio;
    this.el.style.height = `${height}px`;
    this.el.width = Math.round(width * scale);
    this.el.height = Math.round(height * scale);
    this.c?.setTransform(scale, 0, 0, scale, 0, 0);
    this.painted = [];
    return this.grid;
  }

  stop() {
    cancelAnimationFrame(this.frame);
  }

  paint(slots: (Tile | null)[]) {
    this.slots = slots;
    const now = performance.now();
    const beats = new Map<number, number>();
    for (let i = 0; i < Math.max(slots.length, this.painted.length); i++) {
      const t = slots[i] ?? null;
      if (t?.beat) {
        const was = this.beats.get(t.id);
        if (was !== undefined && was !== t.beat && !this.still) this.pulses.set(i, now);
        beats.set(t.id, t.beat);
      }
      const key = this.keyOf(t, i < slots.length);
      if (key === this.painted[i]) continue;
      this.painted[i] = key;
      this.tile(i, t, i < slots.length);
    }
    this.painted.length = slots.length;
    this.beats = beats;
    if (this.pulses.size > 0 && this.frame === 0) this.frame = requestAnimationFrame((at) => this.animate(at));
  }

  private keyOf(t: Tile | null, there: boolean): string {
    if (t === null) return there ? "free" : "";
    const bar = t.state === "idle" ? Math.round(fill(t.idle) * this.grid.h) : 0;
    const line = t.ceiling === undefined || gone(t) ? 0 : Math.round(fill(t.ceiling) * this.grid.h);
    return `${lookOf(t)} ${letterOf(t)} ${bar} ${line}`;
  }

  private animate(at: number) {
    this.frame = 0;
    const c = this.c;
    for (const [i, since] of this.pulses) {
      const t = this.slots[i] ?? null;
      const age = (at - since) / pulse;
      this.tile(i, t, true);
      if (age >= 1 || t === null || c === null) {
        this.pulses.delete(i);
        continue;
      }
      const [x, y] = this.corner(i);
      c.globalAlpha = 1 - Math.max(0, age);
      c.strokeStyle = this.colors["accent"] ?? "";
      c.lineWidth = 2;
      c.strokeRect(x + 1, y + 1, this.grid.w - 2, this.grid.h - 2);
      c.globalAlpha = 1;
    }
    if (this.pulses.size > 0) this.frame = requestAnimationFrame((t) => this.animate(t));
  }

  private corner(i: number): [number, number] {
    const { columns, w, h, gap } = this.grid;
    return [(i % columns) * (w + gap), Math.floor(i / columns) * (h + gap)];
  }

  private tile(i: number, t: Tile | null, there: boolean) {
    const c = this.c;
    if (c === null) return;
    const { w, h } = this.grid;
    const [x, y] = this.corner(i);
    c.clearRect(x, y, w, h);
    if (t === null) {
      if (there) this.edge(x, y, "line");
      return;
    }
    const ink = this.body(c, t, x, y);
    if (t.ceiling !== undefined && !gone(t)) {
      c.fillStyle = this.colors["dead"] ?? "";
      for (let dx = 0; dx < w; dx += 4) c.fillRect(x + dx, y + h - Math.round(fill(t.ceiling) * h), 2, 1);
    }
    const letter = letterOf(t);
    if (letter === "" || w < 9) return;
    c.fillStyle = this.colors[ink] ?? "";
    c.font = `700 ${Math.round(w * (w > 20 ? 0.46 : 0.75))}px ${this.mono}`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.fillText(letter, x + w / 2, y + h / 2 + 0.5);
  }

  // body paints a tile without its letter, and gives the letter's ink. Every state has a shape besides its colour.
  private body(c: CanvasRenderingContext2D, t: Tile, x: number, y: number): string {
    const { w, h } = this.grid;
    const color = (name: string) => this.colors[name] ?? "";
    const look = lookOf(t);
    if (gone(t)) {
      const cut = Math.round(w / 3.5);
      c.fillStyle = color(look.includes("unknown") ? "closing" : look.includes("ours") ? "ours" : "dead");
      c.beginPath();
      c.moveTo(x, y);
      c.lineTo(x + w - cut, y);
      c.lineTo(x + w, y + cut);
      c.lineTo(x + w, y + h);
      c.lineTo(x, y + h);
      c.fill();
      return look.includes("unknown") ? "closing-ink" : "dead-ink";
    }
    switch (t.state) {
      case "in_use":
        c.fillStyle = color("in-use");
        c.fillRect(x, y, w, h);
        break;
      case "checking":
        c.fillStyle = color("checking");
        c.beginPath();
        c.ellipse(x + w / 2, y + h / 2, w / 2, h / 2, 0, 0, 2 * Math.PI);
        c.fill();
        return "checking-ink";
      case "stale":
        c.fillStyle = color("stale");
        c.fillRect(x, y, w, h);
        c.fillStyle = color("stale-ink");
        for (let dy = 2; dy < h; dy += 4) c.fillRect(x, y + dy, w, 0.5);
        return "stale-ink";
      case "closing":
        c.fillStyle = color("closing");
        c.fillRect(x + 1, y + 1, w - 2, h - 2);
        return "closing-ink";
      case "dialing":
        this.edge(x, y, "line-strong");
        return "quiet";
      default: {
        c.fillStyle = color("idle");
        c.fillRect(x, y, w, h);
        const bar = Math.round(fill(t.idle) * h);
        c.fillStyle = color("idle-bar");
        c.fillRect(x, y + h - bar, w, bar);
        this.edge(x, y, "idle-edge");
      }
    }
    if (look.includes("undead")) this.edge(x, y, "dead-text");
    return look.includes("undead") ? "dead-text" : "in-use-ink";
  }

  private edge(x: number, y: number, name: string) {
    const c = this.c;
    if (c === null) return;
    c.strokeStyle = this.colors[name] ?? "";
    c.lineWidth = 1;
    c.strokeRect(x + 0.5, y + 0.5, this.grid.w - 1, this.grid.h - 1);
  }
}
