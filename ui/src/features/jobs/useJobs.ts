/** Reads jobs. */
import type { Schemas } from "../../api/client.ts";
import { type Job, type JobWithJourney, useSoon } from "../contract.ts";
import type { JobState } from "./job.ts";

export type JobsAsked = {
  search?: string;
  dag_id?: string;
  run_id?: string;
  task_id?: string;
  map_index?: number;
  queue?: string;
  worker?: string;
  state?: readonly JobState[];
  order_by?: string;
  limit?: number;
  offset?: number;
};

export function useJobs(query: JobsAsked, options: object = {}) {
  return useSoon<{ items: Job[]; total: number }>("/jobs", { query }, options);
}

export function useJob(id: string, options: object = {}) {
  return useSoon<JobWithJourney>("/jobs/{id}", { path: { id } }, options);
}

export type Explanation = Schemas["ExplanationDocument"];
