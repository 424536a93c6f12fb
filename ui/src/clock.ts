/** What time it is at the centre: the browser's own clock may be wrong, and "3 min ago" with it. */
import { useSyncExternalStore } from "react";

/** Milliseconds between two ticks: what is shown as relative is at most this old. */
const TICK = 5000;
/** The header has whole seconds, and an answer takes its time. */
const WORTH_MINDING = 5000;

let ahead = 0;
let ticked = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

/** Take note of an answer's `Date`. */
export function heard(date: string | null): void {
  const theirs = date ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(theirs)) return;
  const difference = theirs - Date.now();
  ahead = Math.abs(difference) > WORTH_MINDING ? difference : 0;
}

/** Milliseconds since 1970, as the centre counts them. */
export function now(): number {
  return Date.now() + ahead;
}

function tick(): void {
  ticked = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(tick, TICK);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** Give the last tick; while nobody listened there was none. */
function lastTick(): number {
  if (Date.now() - ticked > TICK) ticked = Date.now();
  return ticked;
}

/** The same, drawn anew with every tick; one timer for all that use it. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, lastTick) + ahead;
}
