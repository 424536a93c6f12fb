/** Reads the queues, pauses and resumes one. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { api, type Problem, type Query, type Schemas } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";

export function useQueues(query: Query<"/queues">) {
  return useLive("/queues", { query });
}

type Held = Pick<Schemas["QueueDocument"], "queue" | "team_name">;

export function usePause() {
  return useChange<Held & { note: string }>(({ queue, team_name, note }) =>
    api.post("/queues/pause", { queues: [queue], team: team_name, note }),
  );
}

export function useResume() {
  return useChange<Held>(({ queue, team_name }) => api.post("/queues/resume", { queues: [queue], team: team_name }));
}

function useChange<Wish>(change: (wish: Wish) => Promise<unknown>) {
  const client = useQueryClient();
  return useMutation<unknown, Problem, Wish>({
    mutationFn: change,
    // What waits and why is told in several places.
    onSuccess: () => client.invalidateQueries({ queryKey: ["edge"] }),
  });
}
