/** Reads the queues, pauses and resumes one. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { Problem, Query } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";
import { postSoon, type Queue } from "../contract.ts";

export function useQueues(query: Query<"/queues">) {
  return useLive("/queues", { query });
}

type Held = Pick<Queue, "queue" | "team_name">;

export function usePause() {
  return useChange<Held & { note: string }>(({ queue, team_name, note }) =>
    postSoon("/queues/pause", { queues: [queue], team: team_name, note }),
  );
}

export function useResume() {
  return useChange<Held>(({ queue, team_name }) => postSoon("/queues/resume", { queues: [queue], team: team_name }));
}

function useChange<Wish>(change: (wish: Wish) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation<unknown, Problem, Wish>({
    mutationFn: change,
    // What waits and why is told in several places.
    onSuccess: () => client.invalidateQueries({ queryKey: ["edge"] }),
  });
}
