/** Reads jobs. */
import type { Query } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";

export function useJobs(query: Query<"/jobs">) {
  return useLive("/jobs", { query });
}

/** Read one with its journey; `every`: milliseconds between two looks, where somebody waits for it. */
export function useJob(id: string, options: { every?: number } = {}) {
  return useLive("/jobs/{job_id}", { path: { job_id: id } }, options);
}
