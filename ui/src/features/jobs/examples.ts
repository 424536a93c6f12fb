/** Jobs for tests. */
import type { Job, JobWithJourney } from "../documents.ts";

export const JOB: Job = {
  id: "0b0f7a52-5df5-4d0e-8b59-0a8a1f6ff001",
  kind: "task",
  dag_id: "line",
  run_id: "manual__2026",
  task_id: "press",
  map_index: -1,
  try_number: 1,
  state: "running",
  queue: "press",
  team_name: null,
  slots: 1,
  priority_weight: 1,
  assignment: 1,
  worker: "press-7",
  queued_at: "2026-11-29T12:00:00Z",
  offered_at: "2026-11-29T12:00:10Z",
  started_at: "2026-11-29T12:00:12Z",
  ended_at: null,
  exit_code: null,
  signal: null,
  reason: "",
  task_state: "running",
};

export const WAITING: JobWithJourney = {
  ...JOB,
  state: "queued",
  queue: "lathe",
  worker: "",
  assignment: 0,
  offered_at: null,
  started_at: null,
  task_state: "queued",
  journey: [{ at: JOB.queued_at, event: "queued", text: "", worker: null, assignment: null }],
  explanation: { cause: "no-worker-for-queue", sentence: "No worker serves queue 'lathe'.", denied: [] },
  denied: [],
};

export const FAILED: JobWithJourney = {
  ...JOB,
  state: "failed",
  assignment: 2,
  ended_at: "2026-11-29T12:05:00Z",
  exit_code: 1,
  reason: "its process ended with status 1",
  journey: [
    { at: "2026-11-29T12:00:00Z", event: "queued", text: "", worker: null, assignment: null },
    { at: "2026-11-29T12:00:05Z", event: "offered", text: "", worker: "press-6", assignment: 1 },
    { at: "2026-11-29T12:00:08Z", event: "refused", text: "no slot was free", worker: "press-6", assignment: 1 },
    { at: "2026-11-29T12:00:10Z", event: "offered", text: "", worker: "press-7", assignment: 2 },
    { at: "2026-11-29T12:00:12Z", event: "accepted", text: "", worker: "press-7", assignment: 2 },
    { at: "2026-11-29T12:05:00Z", event: "ended", text: "", worker: "press-7", assignment: 2 },
  ],
  explanation: null,
  denied: [],
};
