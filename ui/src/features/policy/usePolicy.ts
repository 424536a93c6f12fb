/** Reads the policy and what came of it, asks about it and sets it. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type Answer, api, type Body, type Problem, type Query } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";

/** Milliseconds: it is long, and seldom another. */
const SELDOM = 10_000;
/** So many days are looked back for uses. */
export const DAYS = 7;
export const MOST_DENIED = 100;
export const MOST_VERSIONS = 20;

export function usePolicy() {
  return useLive("/policy", {}, { every: SELDOM });
}

export function useDenied() {
  return useLive("/policy/uses", { query: { denied: true, days: DAYS, limit: MOST_DENIED } }, { every: SELDOM });
}

export function useVersions() {
  return useLive("/policy/versions", { query: { limit: MOST_VERSIONS } }, { every: SELDOM });
}

export function useQuestion() {
  return useMutation<Answer<"/policy/test">, Problem, Query<"/policy/test">>({
    mutationFn: (query) => api.get("/policy/test", { query }),
  });
}

export function useSuggestion() {
  return useMutation<Answer<"/policy/suggest">, Problem, void>({
    mutationFn: () => api.get("/policy/suggest", { query: { days: DAYS } }),
  });
}

export function useVersion() {
  return useMutation<Answer<"/policy/versions/{version}">, Problem, number>({
    mutationFn: (version) => api.get("/policy/versions/{version}", { path: { version } }),
  });
}

/** Say what a text would mean, and change nothing. */
export function useReading() {
  return useMutation<Answer<"/policy", "post">, Problem, string>({
    mutationFn: (text) => api.post("/policy", { text, note: "" }, { query: { dry_run: true } }),
  });
}

export function useSet() {
  const client = useQueryClient();
  return useMutation<Answer<"/policy", "post">, Problem, Body<"/policy">>({
    mutationFn: (wish) => api.post("/policy", wish),
    // A policy decides what is told in several places.
    onSuccess: () => client.invalidateQueries({ queryKey: ["edge"] }),
  });
}
