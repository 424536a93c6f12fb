/** A queue's facts in words. */
import { count } from "../../words.ts";
import type { Queue } from "../documents.ts";

/** How many more workers serve it than are named. */
export const NAMED = 3;

/** Say how many workers serve it and how many of these could take a job. */
export function serving({
  workers,
  ready_workers,
  free_slots,
}: Pick<Queue, "workers" | "ready_workers" | "free_slots">): string {
  if (!workers) return "No worker";
  const free = count(free_slots, "free slot");
  if (ready_workers === workers) return `${free} at ${count(workers, "worker")}`;
  return `${free}, ${ready_workers.toLocaleString("en")} of ${count(workers, "worker")} ready`;
}

const UNREADY: readonly (readonly [keyof Queue["unready"], string])[] = [
  ["out_of_reach", "out of reach"],
  ["held_back", "held back"],
  ["maintenance", "in maintenance"],
  ["closed", "closed by the owner"],
  ["starting", "starting"],
  ["draining", "draining"],
  ["offline", "offline"],
];

/** Say why the others take nothing: `1 in maintenance, 2 out of reach`; empty if all do. */
export function unready(counts: Queue["unready"]): string {
  return UNREADY.filter(([key]) => counts[key])
    .map(([key, words]) => `${counts[key]} ${words}`)
    .join(", ");
}

/** Write a rate that is seldom whole. */
export function rate(perMinute: number): string {
  if (!perMinute) return "0";
  return perMinute < 10 ? perMinute.toFixed(1).replace(/\.0$/, "") : String(Math.round(perMinute));
}

/** Two queues of the same name may belong to two teams. */
export function keyOfQueue(queue: Pick<Queue, "team_name" | "queue">): string {
  return `${queue.team_name ?? ""}/${queue.queue}`;
}
