export type State = "dialing" | "idle" | "checking" | "in_use" | "stale" | "closing" | "closed";

interface Look {
  letter: string;
  label: string;
  words: string;
}

// Every state has a letter and a shape besides its colour.
export const states: Readonly<Record<State, Look>> = {
  in_use: { letter: "U", label: "in use", words: "lent to a caller" },
  idle: { letter: "", label: "idle", words: "rests in the pool; the bar is how long" },
  checking: { letter: "C", label: "checking", words: "a ping or a reset has it" },
  dialing: { letter: "D", label: "dialing", words: "is being made" },
  stale: { letter: "S", label: "stale", words: "unfit, waiting to be closed" },
  closing: { letter: "X", label: "closing", words: "its close has begun" },
  closed: { letter: "†", label: "ended", words: "the letter is the cause" },
};

export function stateOf(name: string): State {
  return name in states ? (name as State) : "closed";
}
