import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { plural } from "../format";
import type { Act, Source } from "./api";
import { changes } from "./audit";
import { Fields, start, wanted, type Values } from "./limits";

// Hand is what it takes to change something from this page. The token is empty where the server knows the caller by other means.
export interface Hand {
  token: string;
}

type Verb = "evict" | "limits" | "invalidate" | "drain";

interface Words {
  label: string;
  title: string;
  text: string;
  grave: boolean;
}

const verbs: Record<Verb, Words> = {
  evict: { label: "Evict stale", title: "Evict stale connections of", text: "Idle connections are checked now. What is dead, too old or does not answer is closed.", grave: false },
  limits: { label: "Limits", title: "Change the limits of", text: "Only what you change here is changed. An empty field takes the default.", grave: false },
  invalidate: { label: "Invalidate", title: "Invalidate the connections of", text: "None of the present connections is lent again: idle ones are closed now, lent ones when they come back.", grave: true },
  drain: { label: "Drain", title: "Drain", text: "It lends no more connections, waits for its users, and is closed for good. This cannot be undone.", grave: true },
};

// TokenBar takes the token that allows changes. It is kept in memory, and goes with the page.
export function TokenBar({ token, onToken }: { token: string; onToken: (token: string) => void }) {
  return (
    <section class="token" aria-label="Control">
      <label for="token">Token</label>
      <input id="token" type="password" autocomplete="off" spellcheck={false} value={token} aria-describedby="token-hint" onInput={(e) => onToken(e.currentTarget.value.trim())} />
      {token !== "" && (
        <button type="button" class="button" onClick={() => onToken("")}>
          Forget
        </button>
      )}
      <p class="quiet" id="token-hint">
        {token === "" ? "With the board's token the pools below can be changed. It is not stored." : "The pools below can be changed. The token is gone when this page is closed."}
      </p>
    </section>
  );
}

// Actions are the buttons of one pool, and what came of the newest.
export function Actions({ source, hand }: { source: Source; hand: Hand }) {
  const [open, setOpen] = useState<Verb | null>(null);
  const [news, setNews] = useState("");
  return (
    <div class="acts">
      <p class="acts-news" role="status">
        {source.busy === "" ? news : `${source.busy} is under way`}
      </p>
      {(Object.keys(verbs) as Verb[]).map((v) => (
        <button type="button" key={v} class={`button${verbs[v].grave ? " button-grave" : ""}`} aria-haspopup="dialog" onClick={() => setOpen(v)}>
          {verbs[v].label}
          <span class="unseen"> of {source.ref}</span>
        </button>
      ))}
      {open !== null && (
        <Dialog
          verb={open}
          source={source}
          hand={hand}
          onDone={(act) => {
            setNews(outcome(act));
            setOpen(null);
          }}
          onClose={() => setOpen(null)}
        />
      )}
    </div>
  );
}

function outcome(act: Act): string {
  switch (act.action) {
    case "evict":
      return act.closed === 0 ? "nothing was stale" : `${plural(act.closed, "connection")} closed`;
    case "limits":
      return `changed: ${changes(act)}`;
    case "invalidate":
      return `generation ${act.after?.generation}`;
    default:
      return "drained and closed";
  }
}

interface DialogProps {
  verb: Verb;
  source: Source;
  hand: Hand;
  onDone: (act: Act) => void;
  onClose: () => void;
}

// Dialog asks once more, and shows why it could not be done.
function Dialog({ verb, source, hand, onDone, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const there = useRef(true);
  const [values, setValues] = useState<Values>(() => start(source.limits));
  const [reason, setReason] = useState("");
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  useLayoutEffect(() => {
    dialog.current?.showModal();
    return () => {
      there.current = false;
    };
  }, []);

  const words = verbs[verb];
  const go = async (e: Event) => {
    e.preventDefault();
    const body: Record<string, unknown> = {};
    if (verb === "limits") {
      const named = wanted(source.limits, values);
      if (typeof named === "string") return setTrouble(named);
      if (Object.keys(named).length === 0) return setTrouble("Nothing was changed in the fields.");
      Object.assign(body, named);
    }
    if (reason.trim() !== "") body.reason = reason.trim();
    setBusy(true);
    setTrouble("");
    const answer = await send(source.ref, verb, body, hand);
    if (!there.current) return;
    setBusy(false);
    if (typeof answer === "string") setTrouble(answer);
    else onDone(answer);
  };
  return (
    <dialog ref={dialog} class={`card${verb === "limits" ? " card-wide" : ""}`} aria-labelledby="act-title" aria-describedby="act-text" onClose={onClose}>
      <form class="card-body" onSubmit={go}>
        <h2 id="act-title">
          {words.title} {source.ref}
          {verb === "limits" ? "" : "?"}
        </h2>
        <p id="act-text" class="act-text">
          {words.text}
        </p>
        {verb === "limits" && <Fields limits={source.limits} values={values} onChange={setValues} />}
        <label class="field">
          <span>Reason, for the record</span>
          <input type="text" maxLength={200} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />
        </label>
        <div role="alert">{trouble !== "" && <p class="trouble act-trouble">{trouble}</p>}</div>
        <div class="act-buttons">
          <button type="button" class="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class={`button ${words.grave ? "button-grave-now" : "button-now"}`} disabled={busy}>
            {busy ? "Under way …" : verb === "limits" ? "Change" : words.label}
          </button>
        </div>
      </form>
    </dialog>
  );
}

// send asks the server for an action. It gives the record of it, or why it was not done.
async function send(ref: string, verb: Verb, body: Record<string, unknown>, hand: Hand): Promise<Act | string> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (hand.token !== "") headers.Authorization = `Bearer ${hand.token}`;
  let text = "";
  let status = 0;
  try {
    const answer = await fetch(`api/pools/${encodeURIComponent(ref)}/${verb}`, { method: "POST", headers, body: JSON.stringify(body), redirect: "error" });
    status = answer.status;
    text = await answer.text();
  } catch {
    return "The server did not answer. Look at the record below before you try again.";
  }
  try {
    const said = JSON.parse(text) as { event?: Act; error?: { message: string } };
    if (said.error !== undefined) return sentence(said.error.message);
    if (said.event !== undefined) return said.event;
  } catch {
    // Not JSON: a proxy, or an answer in plain text.
  }
  return sentence(text.trim().slice(0, 300)) || `The server answered with ${status}.`;
}

function sentence(message: string): string {
  const bare = message.replace(/^herz\/board: /, "");
  return bare === "" ? "" : `${bare[0]?.toUpperCase()}${bare.slice(1)}.`;
}
