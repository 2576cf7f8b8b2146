import { useEffect, useRef, useState } from "preact/hooks";

// Announce says a text to screen readers, politely, when it changes; at most once in two seconds, then the newest.
export function Announce({ text }: { text: string }) {
  const [said, setSaid] = useState("");
  const newest = useRef(text);
  const timer = useRef(0);
  newest.current = text;
  useEffect(() => {
    if (timer.current !== 0) return;
    timer.current = window.setTimeout(() => {
      timer.current = 0;
      setSaid(newest.current);
    }, 2000);
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <p class="unseen" aria-live="polite">
      {said}
    </p>
  );
}
