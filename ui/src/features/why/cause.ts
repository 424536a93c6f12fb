/** What the causes of an explanation are to a person. */
import { at } from "../../place.ts";

/** Somebody has to do something, or nothing will happen. */
const NEEDS_A_PERSON: ReadonlySet<string> = new Set([
  "dag-paused",
  "dag-not-found-at-site",
  "queued-too-long",
  "no-scheduler",
  "no-gateway",
  "no-workers",
  "no-worker-for-queue",
  "no-worker-ready",
  "other-team",
  "queue-paused",
  "too-large",
  "worker-unreachable",
]);
const GOES_ON: ReadonlySet<string> = new Set(["offered", "starting", "running", "ended-at-site"]);
const NEEDS_A_WORKER: ReadonlySet<string> = new Set(["no-workers", "no-worker-for-queue"]);
/** Edge workers have no part in it. */
const ELSEWHERE: ReadonlySet<string> = new Set(["no-such-task", "other-executor"]);

/** Give the heading over the sentence. */
export function headingOf(cause: string): string {
  if (cause === "finished") return "What became of it";
  if (GOES_ON.has(cause)) return "What it does";
  return ELSEWHERE.has(cause) ? "Not with the edge workers" : "Why it waits";
}

export function statusOf(cause: string): "warning" | "info" {
  return NEEDS_A_PERSON.has(cause) ? "warning" : "info";
}

/** Give what somebody can do about it on this page, and where. */
export function mendingOf(cause: string, queue: string): { to: string; words: string } | undefined {
  if (cause === "queue-paused") {
    return { to: `${at("queues")}?${new URLSearchParams({ search: queue })}`, words: "To its queue" };
  }
  if (!NEEDS_A_WORKER.has(cause)) return undefined;
  return { to: `${at("add")}?${new URLSearchParams({ queues: queue })}`, words: "Add a worker for it" };
}
