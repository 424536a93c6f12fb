/** A job's facts in words. */
import type { Schemas } from "../../api/client.ts";
import type { Tone } from "../../ui/Status.tsx";
import { duration } from "../../words.ts";
import type { Job, Step } from "../documents.ts";

export type JobState = Schemas["JobState"];

/** In the order in which a job goes through them; what each means is said where one points at it. */
export const STATES: Readonly<Record<JobState, { word: string; tone: Tone; meaning: string }>> = {
  queued: { word: "Queued", tone: "quiet", meaning: "It waits for a worker" },
  leased: { word: "Offered", tone: "busy", meaning: "It was handed to a worker, which has not answered yet" },
  running: { word: "Running", tone: "busy", meaning: "The worker has accepted it" },
  succeeded: { word: "Succeeded", tone: "good", meaning: "Its process ended with status 0" },
  failed: { word: "Failed", tone: "bad", meaning: "Its process ended otherwise, or could not be started" },
  lost: { word: "Lost", tone: "warning", meaning: "Its worker is gone for good, or came back without it" },
  cancelled: { word: "Cancelled", tone: "quiet", meaning: "The centre took it back before it ended" },
};

const OPEN: readonly JobState[] = ["queued", "leased", "running"];
export const isOpen = (state: JobState): boolean => OPEN.includes(state);

/** Name a job shortly: `load [3]`, or what it is where it is no task. */
export function nameOf({ kind, task_id, map_index }: Pick<Job, "kind" | "task_id" | "map_index">): string {
  if (kind === "test") return "Test job";
  const task = task_id || "the Dag";
  const one = map_index >= 0 ? `${task} [${map_index}]` : task;
  return kind === "callback" ? `Callback of ${one}` : one;
}

/** Whether Airflow has a page for it. */
export const isTask = ({ kind, dag_id }: Pick<Job, "kind" | "dag_id">): boolean =>
  Boolean(dag_id) && kind !== "callback" && kind !== "test";

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A worker that was removed is known by its id only, and has no page. */
export const wasRemoved = (worker: string): boolean => ID.test(worker);

/** Say what its process ended with, if it had one. */
export function exitOf({ exit_code, signal }: Pick<Job, "exit_code" | "signal">): string | null {
  if (signal !== null) return `signal ${signal}`;
  return exit_code === null ? null : `status ${exit_code}`;
}

export type Shown = Step & { key: string; after: string | null; tone: Tone };

const TONES: Readonly<Record<string, Tone>> = {
  accepted: "good",
  succeeded: "good",
  refused: "warning",
  expired: "warning",
  "taken back": "warning",
  lost: "warning",
  failed: "bad",
};

/** Give the steps of a journey with what is read from two of them: the time between. */
export function journeyOf(steps: readonly Step[], state: JobState): Shown[] {
  return steps.map((step, index) => {
    const before = steps[index - 1];
    const passed = before ? Date.parse(step.at) - Date.parse(before.at) : 0;
    const ended = step.event === "ended" ? state : step.event;
    return {
      ...step,
      key: `${index} ${step.event}`,
      after: before && passed >= 1000 ? duration(passed) : null,
      tone: TONES[ended] ?? "quiet",
    };
  });
}

/** Give a sentence's beginning a capital. */
export const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);
