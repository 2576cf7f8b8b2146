import { useEffect, useRef, useState } from "preact/hooks";

// Link is how the page stands to its server.
export type Link = "connecting" | "live" | "lost" | "over";

const silenceMax = 5_000; // ms without an event after which the stream counts as broken
const pauseMin = 500;
const pauseMax = 8_000;

// useStream listens to server-sent events called "state" and hands each to take. It opens the stream anew when it breaks, or
// is silent although the page is visible. take returns false when nothing more will come.
export function useStream<T>(url: string, take: (state: T) => boolean): Link {
  const [link, setLink] = useState<Link>("connecting");
  const taker = useRef(take);
  taker.current = take;

  useEffect(() => {
    let source: EventSource | undefined;
    let timer = 0;
    let pause = pauseMin;
    let ended = false;

    const watch = () => {
      clearTimeout(timer);
      timer = window.setTimeout(broken, silenceMax);
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
        watch();
        setLink("live");
        if (!taker.current(state)) {
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
