// seconds says a length of time for a person, in at most two units.
export function seconds(s: number): string {
  if (!Number.isFinite(s) || s <= 0) return "0 s";
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 0.01) return `${(s * 1e3).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1e3)} ms`;
  if (s < 20) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return two(s, 60, "min", "s");
  if (s < 86400) return two(s / 60, 60, "h", "min");
  return two(s / 3600, 24, "d", "h");
}

function two(small: number, per: number, big: string, unit: string): string {
  const whole = Math.round(small);
  const rest = whole % per;
  return rest === 0 ? `${Math.floor(whole / per)} ${big}` : `${Math.floor(whole / per)} ${big} ${rest} ${unit}`;
}

const grouped = new Intl.NumberFormat("en");

export function count(n: number): string {
  return grouped.format(n);
}

export function rate(perSecond: number): string {
  if (perSecond < 0.05) return "0";
  return perSecond < 10 ? perSecond.toFixed(1) : grouped.format(Math.round(perSecond));
}

export function bytes(n: number): string {
  if (n < 1024) return n === 1 ? "1 byte" : `${n} bytes`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function clock(at: Date): string {
  return at.toTimeString().slice(0, 8);
}
