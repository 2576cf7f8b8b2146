import { useEffect, useRef, useState } from "preact/hooks";

// Link is how the page stands to its server.
export type Link = "connecting" | "live" | "lost" | "over";

const silenceMin = 5_000; // ms without an event after which the stream counts as broken, at the least
const timerMax = 2 ** 31 - 1; // ms; a longer timer would fire at once
const pauseMin = 500;
const pauseMax = 8_000;

interface Taker<T, D> {
  take: (state: T) => boolean; // false: nothing more will come
  every: (state: T) => number; // seconds between two events
  apply?: (state: T, delta: D) => T; // what a state becomes by an event called "delta"
}

// useStream listens to server-sent events called "state", and those that say what changed since, and hands each state to take. It opens the stream
// anew when it breaks, or misses three events in a row.
export function useStream<T, D = never>(url: string, with_: Taker<T, D>): Link {
  const [link, setLink] = useState<Link>("connecting");
  const taker = useRef(with_);
  taker.current = with_;

  useEffect(() => {
    let source: EventSource | undefined;
    let timer = 0;
    let pause = pauseMin;
    let silence = silenceMin;
    let ended = false;

    const watch = () => {
      clearTimeout(timer);
      timer = window.setTimeout(broken, silence);
    };
    const broken = () => {
      source?.close();
      clearTimeout(timer);
      if (ended) return;
      setLink("lost");
      timer = window.setTimeout(open, pause);
      pause = Math.min(pause * 2, pauseMax);
    };
    const open = () => {
      source = new EventSource(url);
      source.onerror = broken;
      let last: T | undefined; // of this stream: a change means nothing to the state of another
      const come = (read: (data: string) => T | undefined) => (e: Event) => {
        let state: T | undefined;
        try {
          state = read((e as MessageEvent<string>).data);
        } catch {
          state = undefined;
        }
        if (state === undefined) {
          broken();
          return;
        }
        last = state;
        pause = pauseMin;
        silence = Math.min(Math.max(silenceMin, taker.current.every(state) * 3_000), timerMax);
        watch();
        setLink("live");
        if (!taker.current.take(state)) {
          ended = true;
          source?.close();
          clearTimeout(timer);
          setLink("over");
        }
      };
      source.addEventListener(
        "state",
        come((data) => JSON.parse(data) as T),
      );
      source.addEventListener(
        "delta",
        come((data) => (last === undefined ? undefined : taker.current.apply?.(last, JSON.parse(data) as D))),
      );
      watch();
    };
    open();
    return () => {
      ended = true;
      source?.close();
      clearTimeout(timer);
    };
  }, [url]);
  return link;
}
