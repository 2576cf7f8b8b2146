import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  label: string;
  color: string; // name of a CSS variable
  fill?: boolean;
  bars?: boolean;
  dash?: number[];
}

export interface Band {
  from: number;
  to: number;
}

interface Props {
  label: string; // for those who do not see it
  height: number;
  series: Series[];
  data: uPlot.AlignedData; // the first row is seconds
  bands?: Band[]; // shaded stretches
  axes?: boolean;
  range?: [number, number];
  x?: (seconds: number) => string;
}

// Chart draws lines over time by uPlot, in the colours of the page.
export function Chart(props: Props) {
  const { label, height, series, data, axes = false } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const latest = useRef(props);
  latest.current = props;
  const dark = useDark();
  const shape = series.map((s) => s.label).join("|");

  useEffect(() => {
    const el = box.current;
    if (el === null) return;
    const made = new uPlot(options(latest, el, axes, height), latest.current.data, el);
    plot.current = made;
    const resize = new ResizeObserver(() => {
      if (el.clientWidth > 0) made.setSize({ width: el.clientWidth, height });
    });
    resize.observe(el);
    return () => {
      resize.disconnect();
      made.destroy();
    };
  }, [dark, axes, height, shape]);

  useEffect(() => plot.current?.setData(data), [data]);
  return <div class="chart" ref={box} role="img" aria-label={label} style={{ height: `${height}px` }} />;
}

function options(latest: { current: Props }, el: HTMLElement, axes: boolean, height: number): uPlot.Options {
  const css = getComputedStyle(el);
  const color = (name: string) => css.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--quiet"),
    font: `11px ${color("--sans")}`,
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(50, el.clientWidth),
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: axes ? [8, 16, 0, 0] : [3, 0, 3, 0],
    scales: {
      x: { time: false, range: (_u, min, max) => latest.current.range ?? [min, Math.max(max, min + 1)] },
      y: { range: (_u, _min, max) => [0, Math.max(max * 1.1, 1)] },
    },
    axes: axes
      ? [
          { ...axis, grid: { show: false }, size: 22, gap: 4, space: 40, incrs: [30, 60], values: (_u, ts) => ts.map((t) => latest.current.x?.(t) ?? String(t)) },
          { ...axis, size: 44, gap: 4, space: 26, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] },
        ]
      : [{ show: false }, { show: false }],
    series: [
      {},
      ...latest.current.series.map((s) => ({
        label: s.label,
        stroke: color(s.color),
        width: 1.5,
        points: { show: false },
        ...(s.dash ? { dash: s.dash } : {}),
        ...(s.fill || s.bars ? { fill: `color-mix(in srgb, ${color(s.color)} ${s.bars ? 90 : 14}%, transparent)` } : {}),
        ...(s.bars && uPlot.paths.bars ? { paths: uPlot.paths.bars({ size: [1, 8], gap: 0 }), width: 0 } : {}),
      })),
    ],
    hooks: {
      drawClear: [
        (u) => {
          u.ctx.save();
          u.ctx.fillStyle = color("--band");
          for (const b of latest.current.bands ?? []) {
            const left = Math.max(u.bbox.left, u.valToPos(b.from, "x", true));
            const right = Math.min(u.bbox.left + u.bbox.width, u.valToPos(b.to, "x", true));
            if (right > left) u.ctx.fillRect(left, u.bbox.top, right - left, u.bbox.height);
          }
          u.ctx.restore();
        },
      ],
    },
  };
}

export function useDark(): boolean {
  const query = "(prefers-color-scheme: dark)";
  const [dark, setDark] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const change = () => setDark(list.matches);
    list.addEventListener("change", change);
    return () => list.removeEventListener("change", change);
  }, []);
  return dark;
}
