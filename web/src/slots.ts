import { useRef } from "preact/hooks";
import type { Tile } from "./conn";

const ghostsMax = 48;

interface Ghost {
  tile: Tile;
  until: number;
}

// useSlots keeps every connection in its place on the wall: one that ended leaves a dead tile behind for a while, and a new
// one takes the first free place. endings says why those that vanished ended; stay is how many seconds a dead tile keeps its place.
export function useSlots(live: Tile[], endings: Tile[], stay: number): (Tile | null)[] {
  const kept = useRef<{ slots: (number | null)[]; last: Map<number, Tile>; ghosts: Map<number, Ghost>; begun: boolean }>({
    slots: [],
    last: new Map(),
    ghosts: new Map(),
    begun: false,
  }).current;
  const now = Date.now();
  const present = new Map(live.map((t) => [t.id, t]));
  const ended = new Map(endings.map((t) => [t.id, t]));

  if (!kept.begun) {
    kept.begun = true;
    for (const t of endings.slice(0, 12)) kept.ghosts.set(t.id, { tile: t, until: now + stay * 1000 });
  }
  for (const [id, tile] of kept.last) {
    if (present.has(id) || kept.ghosts.has(id)) continue;
    kept.ghosts.set(id, { tile: ended.get(id) ?? { ...tile, state: "closed" }, until: now + stay * 1000 });
  }
  for (const [id, ghost] of kept.ghosts) {
    const crowded = kept.ghosts.size > ghostsMax;
    if (present.has(id) || crowded || ghost.until < now) kept.ghosts.delete(id);
    else ghost.tile = ended.get(id) ?? ghost.tile;
  }
  kept.last = present;

  // Gaps are refilled by new connections; when there are too many, the others move up.
  const gaps = kept.slots.filter((id) => id === null || !(present.has(id) || kept.ghosts.has(id))).length;
  if (gaps > 4 && gaps * 4 > kept.slots.length) {
    kept.slots = kept.slots.filter((id) => id !== null && (present.has(id) || kept.ghosts.has(id)));
  }

  const placed = new Set<number>();
  kept.slots = kept.slots.map((id) => {
    if (id === null || !(present.has(id) || kept.ghosts.has(id))) return null;
    placed.add(id);
    return id;
  });
  const place = (id: number) => {
    if (placed.has(id)) return;
    const free = kept.slots.indexOf(null);
    if (free < 0) kept.slots.push(id);
    else kept.slots[free] = id;
    placed.add(id);
  };
  for (const id of present.keys()) place(id);
  for (const id of kept.ghosts.keys()) place(id);
  while (kept.slots.length > 0 && kept.slots[kept.slots.length - 1] === null) kept.slots.pop();
  return kept.slots.map((id) => (id === null ? null : (present.get(id) ?? kept.ghosts.get(id)?.tile ?? null)));
}
