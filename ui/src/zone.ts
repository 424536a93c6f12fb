/** The time zone in which the reader wants times: the one chosen in Airflow's own page, until then the browser's. */
import { useSyncExternalStore } from "react";

/** Where Airflow's page keeps what was chosen in it, as JSON. */
const KEY = "timezone";
/** `local-storage` is Airflow's own word to its page; the browser tells the other windows. */
const TOLD = ["storage", "local-storage"] as const;

/** Give the zone's name, `Europe/Berlin`. */
export function zone(): string {
  const chosen = read();
  return chosen && isZone(chosen) ? chosen : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The same, drawn anew when another one is chosen. */
export function useZone(): string {
  return useSyncExternalStore(subscribe, zone);
}

function read(): string | undefined {
  try {
    const kept: unknown = JSON.parse(window.localStorage.getItem(KEY) ?? "null");
    return typeof kept === "string" ? kept : undefined;
  } catch {
    return undefined;
  }
}

function isZone(name: string): boolean {
  try {
    Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function subscribe(listener: () => void): () => void {
  for (const event of TOLD) window.addEventListener(event, listener);
  return () => {
    for (const event of TOLD) window.removeEventListener(event, listener);
  };
}

/** Give the instant at which clocks in `name` show `wall`, `2026-11-29T13:00`; nothing where that is no time. */
export function instant(wall: string, name: string): Date | undefined {
  const asUtc = Date.parse(`${wall}Z`);
  if (Number.isNaN(asUtc)) return undefined;
  // Twice: what clocks are ahead may change between the two.
  const guess = asUtc - ahead(asUtc, name);
  return new Date(asUtc - ahead(guess, name));
}

/** Milliseconds that clocks in `name` are ahead of UTC at an instant. */
function ahead(at: number, name: string): number {
  const shown = new Intl.DateTimeFormat("en", {
    timeZone: name,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).formatToParts(at);
  const part = (type: Intl.DateTimeFormatPartTypes) => shown.find((one) => one.type === type)?.value ?? "0";
  const [year, month, day, hour, minute, second] = (["year", "month", "day", "hour", "minute", "second"] as const).map(
    (type) => Number(part(type)),
  ) as [number, number, number, number, number, number];
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000;
}
