import { useEffect, useRef } from "preact/hooks";
import { causeOf } from "./causes";
import { gone, letterOf, lookOf, type Tile } from "./conn";
import { seconds } from "./format";
import { states } from "./states";

interface Props {
  of: string; // whose connection it is
  tile: Tile;
  onClose: () => void;
}

// Card shows the facts of one connection and why it ended. It follows the connection while it is open.
export function Card({ of, tile, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);

  const facts = [
    { name: "State", value: states[tile.state].label },
    { name: "Peer", value: tile.peer === "" ? "unknown" : tile.peer },
    { name: gone(tile) ? "Age at its end" : "Age", value: seconds(tile.age) },
    ...(tile.state === "in_use" ? [] : [{ name: gone(tile) ? "Silent before" : "Idle", value: seconds(tile.idle) }]),
    ...tile.facts(),
  ];
  const backdrop = (e: MouseEvent) => {
    if (e.target === dialog.current) dialog.current?.close();
  };
  return (
    <dialog ref={dialog} class="card" aria-labelledby="card-title" onClose={onClose} onClick={backdrop}>
      <div class="card-body">
        <header class="card-head">
          <span class={`tile card-tile ${lookOf(tile)}`} aria-hidden="true">
            <span class="tile-letter">{letterOf(tile)}</span>
          </span>
          <div>
            <h2 id="card-title">Connection {tile.id}</h2>
            <p class="quiet">{of}</p>
          </div>
          <button type="button" class="button card-close" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </header>
        {tile.cause !== "" && (
          <p class={`card-cause${causeOf(tile.cause).ours ? " card-ours" : ""}`}>
            <strong>{gone(tile) ? "Why it ended" : "Why it is unfit"}:</strong> {causeOf(tile.cause).words}. <code>{tile.cause}</code>
          </p>
        )}
        {tile.note !== "" && <p class="card-note">{tile.note}</p>}
        <dl class="facts">
          {facts.map((f) => (
            <div key={f.name}>
              <dt>{f.name}</dt>
              <dd>{f.value}</dd>
            </div>
          ))}
        </dl>
      </div>
    </dialog>
  );
}
