/** Reads who has enrolled lately, and who tried to. */
import type { Schemas } from "../../api/client.ts";
import { type Attempt, useSoon } from "../contract.ts";

export type Newcomer = Schemas["WorkerDocument"] & { link: string };

/** Milliseconds between two looks: somebody waits. */
const EVERY = 2000;
const NEWEST = 50;

export function useArrivals(token: { created_at: string }) {
  const workers = useSoon<{ items: Newcomer[] }>(
    "/workers",
    { query: { order_by: "-enrolled_at", limit: NEWEST } },
    { every: EVERY },
  );
  const attempts = useSoon<Attempt[]>("/enroll-attempts", { query: { since: token.created_at } }, { every: EVERY });
  const failed = workers.error ?? attempts.error;
  return {
    workers: workers.data?.items ?? [],
    attempts: attempts.data,
    error: failed,
    retry: () => Promise.all([workers.refetch(), attempts.refetch()]),
  };
}
