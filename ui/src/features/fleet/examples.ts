/** Documents for tests. */
import type { Overview, WholeWorker } from "./documents.ts";

export function aRemark(more: Partial<WholeWorker["attention"][number]> = {}): WholeWorker["attention"][number] {
  return { kind: "warnings", severity: "error", sentence: "warns", why: "", advice: "", command: null, ...more };
}

export function aWorker(more: Partial<WholeWorker> = {}): WholeWorker {
  return {
    id: "8b1f7b1e-0000-4000-8000-000000000001",
    name: "site-1",
    state: "running",
    link: "linked",
    stance: "taking jobs",
    load: "busy",
    attention: [],
    revoked: false,
    queues: ["default"],
    team: null,
    team_deleted: false,
    concurrency: 8,
    taken_slots: 3,
    free_slots: 5,
    jobs: 1,
    tasks: [],
    latest: { cpu_percent: 42, memory_percent: 61, disk_free: 120 * 2 ** 30 },
    spark: { cpu_percent: [40, 41, 42], memory_percent: [60, 60, 61], disk_free: [1, 1, 1] },
    maintenance_comment: "",
    maintenance_cause: null,
    maintenance_until: null,
    maintenance_by: null,
    order_waiting: null,
    last_seen_at: null,
    enrolled_at: "2026-11-01T08:00:00Z",
    transport: "websocket",
    unreachable_since: null,
    running_jobs_lost_after: null,
    disconnect_grace: null,
    trouble: "",
    conditions: "",
    warnings: "",
    agent_version: "0.9.0",
    airflow_version: "3.2.2",
    python_version: "3.12.3",
    version_refused: "",
    version_warning: "",
    host_name: "plant-7",
    address: "10.0.0.7",
    other_instances: [],
    system: {},
    fingerprint: "12:34",
    instance: null,
    enrolled_by: "admin",
    enroll_token_id: null,
    linked_at: "2026-11-29T08:00:00Z",
    allowed_queues: ["default"],
    added_queues: [],
    asked_queues: null,
    ...more,
  };
}

export function anOverview(more: Partial<Overview> = {}): Overview {
  return {
    workers: {
      total: 12,
      well: 9,
      busy: 4,
      maintenance: 1,
      draining: 0,
      held_back: 0,
      starting: 0,
      out_of_reach: 2,
      offline: 0,
      never_linked: 0,
      revoked: 0,
    },
    out_of_reach_since: "2026-11-29T11:00:00Z",
    slots: { total: 72, taken: 20, free: 52 },
    jobs: { queued: 5, running: 18, oldest_queued_at: "2026-11-29T11:58:00Z", oldest_queue: "gpu" },
    attention: [],
    ...more,
  };
}
