// Mark is the sign of Herz: one heartbeat.
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M4 17h6l3-8 5 15 3.5-9 1.5 2h5" />
    </svg>
  );
}
