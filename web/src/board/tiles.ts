import type { Fact, Tile } from "../conn";
import { bytes, count, seconds } from "../format";
import { stateOf } from "../states";
import type { Conn, Death } from "./api";

// liveTile makes a tile of an open connection. Ceiling is the idle age at which something closes it, where that was learned.
export function liveTile(c: Conn, ceiling?: number): Tile {
  return {
    id: c.id,
    state: stateOf(c.state),
    peer: c.peer,
    age: c.age_seconds,
    idle: c.idle_seconds,
    cause: c.cause,
    facts: () => factsOf(c, ceiling),
    note: "",
    ceiling,
    beat: c.last_heartbeat_seconds,
  };
}

function factsOf(c: Conn, ceiling?: number): Fact[] {
  const facts: Fact[] = [];
  const add = (name: string, value: string, there: boolean) => there && facts.push({ name, value });
  add("Held for", seconds(c.held_seconds), c.state === "in_use");
  add("Leases out", count(c.leases), c.leases > 1);
  add("Uses", count(c.uses), c.uses > 0);
  add("Generation", count(c.generation), c.generation > 0);
  add("Newest ping took", seconds(c.last_heartbeat_seconds), c.last_heartbeat_seconds > 0);
  add("Server", c.identity, c.identity !== "");
  add("Lent at", c.holder, c.holder !== "");
  add("Closed by something when idle for", seconds(ceiling ?? 0), ceiling !== undefined);
  return facts;
}

export function deadTile(d: Death): Tile {
  return {
    id: d.id,
    state: "closed",
    peer: d.peer,
    age: d.age_seconds,
    idle: d.idle_seconds,
    cause: d.cause,
    facts: () => factsOfDeath(d),
    note: d.detail,
  };
}

function factsOfDeath(d: Death): Fact[] {
  const facts: Fact[] = [];
  if (d.phase !== "") facts.push({ name: "Phase", value: d.phase === "idle" ? "idle: nothing was asked" : d.phase });
  facts.push({ name: "Request", value: d.bytes_sent === 0 ? "no byte had left" : `${bytes(d.bytes_sent)} had left` });
  if (d.errno !== 0) facts.push({ name: "Kernel", value: `${d.errno_words} (${d.errno})` });
  facts.push({ name: "Decided by", value: d.ours ? "us" : "the peer, the path or the user" });
  if (d.hint !== "") facts.push({ name: "To do", value: d.hint });
  return facts;
}
