// Cause says why a connection ended. The table is the one of Go's package conn; a test there compares them. Capital letters
// are what the peer, the path or the user did; small ones are our own decisions.
export interface Cause {
  letter: string;
  words: string;
  ours: boolean;
}

export const causes: Readonly<Record<string, Cause>> = {
  peer_fin: { letter: "F", words: "the peer closed it", ours: false },
  peer_rst: { letter: "R", words: "the peer or a device between reset it", ours: false },
  timeout: { letter: "T", words: "a deadline cut an exchange short, so answers would be out of step", ours: false },
  keepalive: { letter: "K", words: "the peer stopped answering keep-alive probes", ours: false },
  unacked: { letter: "B", words: "nothing that was sent was acknowledged any more: a black hole", ours: false },
  goaway: { letter: "A", words: "the peer asked for no more requests", ours: false },
  heartbeat: { letter: "H", words: "the peer did not answer a ping in time", ours: false },
  max_lifetime: { letter: "l", words: "it reached its maximum lifetime", ours: true },
  max_idle: { letter: "i", words: "it was idle for too long", ours: true },
  max_uses: { letter: "u", words: "it reached its maximum number of uses", ours: true },
  evicted: { letter: "e", words: "an operator evicted it", ours: true },
  generation: { letter: "g", words: "the pool was invalidated after it was dialled", ours: true },
  identity: { letter: "s", words: "the server behind its address changed", ours: true },
  leaked: { letter: "L", words: "its lease was lost", ours: false },
  misuse: { letter: "M", words: "it was used against the rules", ours: false },
  error: { letter: "E", words: "its user reported it broken", ours: false },
  drained: { letter: "d", words: "the pool was drained or closed", ours: true },
  shrunk: { letter: "m", words: "the pool was made smaller", ours: true },
};

const unknown: Cause = { letter: "?", words: "it is gone, and nobody has recorded why", ours: false };

export function causeOf(name: string): Cause {
  return causes[name] ?? (name === "" || name === "none" ? unknown : { ...unknown, words: name.replaceAll("_", " ") });
}
