/** Reads the queues, pauses and resumes one. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { Problem } from "../../api/client.ts";
import { postSoon, type Queue, useSoon } from "../contract.ts";

export type QueuesAsked = { search?: string; attention?: boolean; order_by?: string; limit?: number; offset?: number };

export function useQueues({ attention, ...asked }: QueuesAsked) {
  return useSoon<{ items: Queue[]; total: number }>("/queues", {
    query: { ...asked, ...(attention && { attention }) },
  });
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
