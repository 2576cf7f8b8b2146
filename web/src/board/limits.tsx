import type { Limits } from "./api";

// Values are what stands in the fields, by the name of the limit.
export type Values = Record<string, string | boolean>;

interface Label {
  name: string;
  label: string;
}

const labels: Label[] = [
  { name: "max_open", label: "Open, at most" },
  { name: "min_idle", label: "Idle, at least" },
  { name: "keep_warm", label: "Kept warm" },
  { name: "keep_warm_elastic", label: "Part of them kept however long idle" },
  { name: "max_waiters", label: "Callers waiting, at most" },
  { name: "max_dialing", label: "Dials at once" },
  { name: "max_closing", label: "Closes at once" },
  { name: "reconnect_per_second", label: "Replacements a second" },
  { name: "max_uses", label: "Uses of one connection" },
  { name: "max_lifetime_seconds", label: "Lifetime" },
  { name: "max_lifetime_jitter_seconds", label: "Lifetime jitter" },
  { name: "max_idle_seconds", label: "Idle for, at most" },
  { name: "heartbeat_every_seconds", label: "Heartbeat after idle for" },
  { name: "heartbeat_timeout_seconds", label: "Time for dial, ping, close" },
  { name: "ping_after_seconds", label: "Ping before a loan after idle for" },
  { name: "acquire_timeout_seconds", label: "Wait of a caller, at most" },
  { name: "leak_after_seconds", label: "Lease reported after" },
  { name: "test_on_borrow", label: "Ping before every loan" },
];

export function start(limits: Limits | null): Values {
  const values: Values = {};
  for (const { name } of labels) {
    const v = limits?.[name];
    if (v !== undefined) values[name] = typeof v === "boolean" ? v : `${v}`;
  }
  return values;
}

// wanted gives what differs from the limits in force, as the server takes it, or what is wrong with a field.
export function wanted(limits: Limits | null, values: Values): Record<string, number | boolean | null> | string {
  const named: Record<string, number | boolean | null> = {};
  for (const { name, label } of labels) {
    const now = limits?.[name];
    const v = values[name];
    if (now === undefined || v === undefined) continue;
    if (typeof v === "boolean") {
      if (v !== now) named[name] = v;
      continue;
    }
    const text = v.trim();
    if (text === "") {
      named[name] = null;
    } else if (text !== `${now}`) {
      const n = Number(text);
      if (!Number.isFinite(n)) return `“${label}” must be a number.`;
      named[name] = n;
    }
  }
  return named;
}

interface Props {
  limits: Limits | null;
  values: Values;
  onChange: (values: Values) => void;
}

// Fields are the limits of one pool, each in a field of its own.
export function Fields({ limits, values, onChange }: Props) {
  return (
    <div class="fields">
      {labels.map(({ name, label }) => {
        const v = values[name];
        if (v === undefined) return null;
        if (typeof v === "boolean") {
          return (
            <label key={name} class="field field-check">
              <span>{label}</span>
              <input type="checkbox" name={name} checked={v} onInput={(e) => onChange({ ...values, [name]: e.currentTarget.checked })} />
            </label>
          );
        }
        return (
          <label key={name} class={`field${v !== `${limits?.[name]}` ? " field-changed" : ""}`}>
            <span>
              {label}
              {name.endsWith("_seconds") ? <span class="unit"> (s)</span> : ""}
            </span>
            <input type="text" inputMode="decimal" name={name} value={v} autocomplete="off" onInput={(e) => onChange({ ...values, [name]: e.currentTarget.value })} />
          </label>
        );
      })}
    </div>
  );
}
