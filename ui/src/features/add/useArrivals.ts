/** Reads who has enrolled lately, and who tried to. */
import type { Schemas } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";

export type Newcomer = Schemas["WorkerDocument"];

/** Milliseconds between two looks: somebody waits. */
const EVERY = 2000;
const NEWEST = 50;

export function useArrivals(token: { id: string; created_at: string }) {
  const workers = useLive("/workers", { query: { order_by: "-enrolled_at", limit: NEWEST } }, { every: EVERY });
  const attempts = useLive("/enroll-attempts", { query: { since: token.created_at } }, { every: EVERY });
  // Of many workers only the newest are listed; how many have enrolled, the token says.
  const tokens = useLive("/enroll-tokens", {}, { every: EVERY });
  return {
    kept: tokens.data?.find(({ id }) => id === token.id),
    workers: workers.data?.items ?? [],
    attempts: attempts.data,
    error: workers.error ?? attempts.error,
    retry: () => Promise.all([workers.refetch(), attempts.refetch()]),
  };
}
