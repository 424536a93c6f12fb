/** Numbers and times as people say them. */

const STEPS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
];

/** Give a duration, `2 h 5 min`; its second part only where the first is small, and no seconds beside minutes. */
export function duration(milliseconds: number): string {
  const left = Math.max(0, milliseconds);
  const at = STEPS.findIndex(([, size]) => left >= size);
  const [name, size] = STEPS[at] ?? ["s", 1000];
  const whole = Math.floor(left / size);
  const next = STEPS[at + 1];
  const rest = next && name !== "min" && whole < 10 ? Math.floor((left % size) / next[1]) : 0;
  return rest && next ? `${whole} ${name} ${rest} ${next[0]}` : `${whole} ${name}`;
}

/** Give a time beside another: `just now`, `3 min ago`, `in 2 h`. */
export function relative(at: number, now: number): string {
  const passed = now - at;
  if (Math.abs(passed) < 10_000) return "just now";
  // What is to come is rounded up: an end that was set for 30 minutes is not "in 29 min".
  const step = passed < -60_000 ? 60_000 : 1000;
  return passed > 0 ? `${duration(passed)} ago` : `in ${duration(Math.ceil(-passed / step) * step)}`;
}

/** Give a time in full, in the reader's zone and in UTC. */
export function exact(at: number, zone: string): string {
  const date = new Date(at);
  const utc = `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  if (zone === "UTC") return utc;
  const local = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium", timeZone: zone });
  return `${local} ${zone} (${utc})`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Give an amount of bytes, `1.4 GB`. */
export function bytes(amount: number): string {
  let left = amount;
  let unit = 0;
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit && left < 10 ? left.toFixed(1) : Math.round(left)} ${UNITS[unit]}`;
}

/** Give `1 worker`, `4,210 workers`. */
export function count(amount: number, one: string, many: string = `${one}s`): string {
  return `${amount.toLocaleString("en")} ${amount === 1 ? one : many}`;
}
