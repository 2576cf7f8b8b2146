import { useEffect, useRef, useState } from "preact/hooks";

// Link is how the page stands to its server.
export type Link = "connecting" | "live" | "lost" | "over";

const silenceMin = 5_000; // ms without an event after which the stream counts as broken, at the least
const timerMax = 2 ** 31 - 1; // ms; a longer timer would fire at once
const pauseMin = 500;
const pauseMax = 8_000;

// useStream listens to server-sent events called "state" and hands each to take, which returns false when nothing more will
// come. It opens the stream anew when it breaks, or misses three events in a row: every says how many seconds lie between two.
export function useStream<T>(url: string, take: (state: T) => boolean, every: (state: T) => number): Link {
  const [link, setLink] = useState<Link>("connecting");
  const taker = useRef({ take, every });
  taker.current = { take, every };

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
      source.addEventListener("state", (e) => {
        let state: T;
        try {
          state = JSON.parse((e as MessageEvent<string>).data) as T;
        } catch {
          broken();
          return;
        }
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
      });
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
