import { useRef, useState } from "preact/hooks";
import { Card } from "./card";
import { fill, gone, letterOf, lookOf, nameOf, type Tile, titleOf } from "./conn";
import { Field } from "./field";
import { useSlots } from "./slots";

const elementsMost = 400; // tiles; more are painted

interface Props {
  label: string; // whose connections these are
  live: Tile[];
  endings?: Tile[];
  stay?: number; // seconds that a dead tile keeps its place
}

// Wall shows one tile a connection. It is one stop of the Tab key; the arrow keys move inside. Hundreds are painted, see Field.
export function Wall({ label, live, endings = [], stay = 20 }: Props) {
  const slots = useSlots(live, endings, stay);
  const [chosen, setChosen] = useState<number | null>(null);
  const [open, setOpen] = useState<Tile | null>(null);
  const box = useRef<HTMLDivElement>(null);

  const tiles = slots.filter((t): t is Tile => t !== null);
  const stop = tiles.some((t) => t.id === chosen) ? chosen : (tiles[0]?.id ?? null);
  const shown = open === null ? null : (tiles.find((t) => t.id === open.id) ?? endings.find((t) => t.id === open.id) ?? { ...open, state: "closed" as const });

  const move = (e: KeyboardEvent) => {
    const all = [...(box.current?.querySelectorAll<HTMLButtonElement>("button.tile") ?? [])];
    const at = all.indexOf(e.target as HTMLButtonElement);
    const to = at < 0 ? undefined : target(all, at, e.key);
    if (to === undefined) return;
    e.preventDefault();
    to.focus();
  };

  return (
    <>
      {tiles.length === 0 ? (
        <p class="wall-empty">No connection is open.</p>
      ) : slots.length > elementsMost ? (
        <Field label={label} slots={slots} onOpen={setOpen} />
      ) : (
        <div class="wall" role="group" aria-label={`${label}: one button a connection; arrow keys move`} ref={box} onKeyDown={move}>
          {slots.map((t, i) =>
            t === null ? (
              <span class="tile tile-free" key={`free-${i}`} aria-hidden="true" />
            ) : (
              <button
                key={t.id}
                type="button"
                class={`tile ${lookOf(t)}`}
                tabIndex={t.id === stop ? 0 : -1}
                aria-label={nameOf(t)}
                title={titleOf(t)}
                onFocus={() => setChosen(t.id)}
                onClick={() => setOpen(t)}
              >
                {t.state === "idle" && <span class="tile-bar" style={{ height: `${Math.round(fill(t.idle) * 100)}%` }} />}
                {t.ceiling !== undefined && !gone(t) && <span class="tile-ceiling" style={{ bottom: `${Math.round(fill(t.ceiling) * 100)}%` }} />}
                {t.beat !== undefined && t.beat > 0 && <span class="tile-beat" key={t.beat} />}
                <span class="tile-letter" aria-hidden="true">
                  {letterOf(t)}
                </span>
              </button>
            ),
          )}
        </div>
      )}
      {shown !== null && <Card of={label} tile={shown} onClose={() => setOpen(null)} />}
    </>
  );
}

function target(all: HTMLButtonElement[], at: number, key: string): HTMLButtonElement | undefined {
  switch (key) {
    case "ArrowRight":
      return all[at + 1];
    case "ArrowLeft":
      return all[at - 1];
    case "Home":
      return all[0];
    case "End":
      return all[all.length - 1];
    case "ArrowDown":
    case "ArrowUp": {
      const here = all[at];
      if (here === undefined) return undefined;
      const way = key === "ArrowDown" ? all.slice(at + 1) : all.slice(0, at).reverse();
      return way.find((b) => b.offsetLeft === here.offsetLeft && b.offsetTop !== here.offsetTop);
    }
    default:
      return undefined;
  }
}
