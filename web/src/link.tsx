import type { Link } from "./stream";

const words: Record<Link, string> = {
  connecting: "Connecting",
  live: "Live",
  lost: "Connection to the server lost, trying again",
  over: "Finished",
};

// LinkBadge says whether what is shown is live.
export function LinkBadge({ link, paused = false }: { link: Link; paused?: boolean }) {
  const text = paused && link === "live" ? "Paused" : words[link];
  return (
    <p class={`link link-${paused && link === "live" ? "paused" : link}`} role="status">
      <span class="link-dot" aria-hidden="true" />
      {text}
    </p>
  );
}
