import { causeOf } from "./causes";
import { seconds } from "./format";
import { type State, states } from "./states";

// Tile is one connection on a wall, of either page.
export interface Tile {
  id: number;
  state: State;
  peer: string;
  age: number; // seconds
  idle: number; // seconds
  cause: string; // why it is unfit or gone; empty when it is well
  facts: () => Fact[]; // more for its card
  note: string;
  ceiling?: number | undefined; // idle age at which something closes it, seconds
  beat?: number | undefined; // differs when it has just answered a ping
}

export interface Fact {
  name: string;
  value: string;
}

// gone tells whether a tile is drawn as a dead one.
export function gone(t: Tile): boolean {
  return t.state === "closed";
}

// undead tells whether a connection is dead although its pool takes it for a good one: it has a note and no cause.
export function undead(t: Tile): boolean {
  return t.note !== "" && t.cause === "" && (t.state === "idle" || t.state === "in_use");
}

// lookOf is the class of a tile.
export function lookOf(t: Tile): string {
  if (undead(t)) return `tile-${t.state} tile-undead`;
  if (!gone(t)) return `tile-${t.state}`;
  if (t.cause === "") return "tile-closed tile-unknown";
  return causeOf(t.cause).ours ? "tile-closed tile-ours" : "tile-closed";
}

export function letterOf(t: Tile): string {
  if (undead(t)) return "!";
  if (gone(t)) return causeOf(t.cause).letter;
  return states[t.state].letter;
}

// nameOf is what a screen reader says of a tile. It has no times, so that it is not said again with every event.
export function nameOf(t: Tile): string {
  const why = t.cause === "" ? "" : `: ${causeOf(t.cause).words}`;
  const dead = undead(t) ? ", but dead" : "";
  return `connection ${t.id}, ${states[t.state].label}${dead}${why}`;
}

export function titleOf(t: Tile): string {
  const rest = t.state === "idle" ? `, idle for ${seconds(t.idle)}` : "";
  const note = t.note === "" ? "" : `: ${t.note}`;
  return `${nameOf(t)}${note}${rest}${t.peer === "" ? "" : ` · ${t.peer}`}`;
}

// fill is the height of a tile's bar, 0 to 1: idle age on a scale where one second, ten, a minute and ten stand apart.
export function fill(idle: number): number {
  return Math.min(1, Math.log10(1 + Math.max(0, idle)) / Math.log10(601));
}
