/** What is read again and again while somebody looks. */
import {
  keepPreviousData,
  QueryClient,
  type UseQueryOptions,
  type UseQueryResult,
  useQuery,
} from "@tanstack/react-query";
import { type Answer, api, type InPath, Problem, type Query, type Readable } from "./client.ts";

/** Milliseconds between two looks. */
export const EVERY = 3000;

/** Milliseconds between two looks at least, by the status of what was answered last: 0 is no answer at all. */
const SLOWER: Readonly<Record<number, number>> = { 0: 10_000, 401: 30_000, 403: 30_000, 404: 15_000 };

/** Give the time until the next look: longer where it will hardly find more than the last one. */
export function pace(every: number, error: Problem | null | undefined): number {
  return Math.max(every, (error && SLOWER[error.status]) ?? 0);
}

/** One for page and panel, and for as long as Airflow's page is open. */
export const queries = new QueryClient({
  defaultOptions: {
    // A browser that takes itself for offline may still reach the centre, and what does not get there is said.
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always",
      staleTime: EVERY,
      // What is refused now is refused again; what did not come through is asked for again by the next look.
      retry: (failed, error) => failed < 2 && error instanceof Problem && error.status >= 500,
      // Whoever comes back has logged in elsewhere, or is in reach again.
      refetchOnWindowFocus: true,
      refetchOnReconnect: true,
    },
  },
});

export type Asked<Path extends Readable> = {
  path?: InPath<Path>;
  query?: Query<Path>;
};

type Options<Path extends Readable> = Partial<Pick<UseQueryOptions<Answer<Path>, Problem>, "enabled">> & {
  /** Milliseconds; `false`: read once. */
  every?: number | false;
};

/** The key of an answer, for `queries.invalidateQueries({ queryKey: keyOf("/workers") })` after a change. */
export function keyOf<Path extends Readable>(path: Path, asked?: Asked<Path>): readonly unknown[] {
  return asked ? ["edge", path, asked] : ["edge", path];
}

/** Read `path` and keep it fresh: not while the page is hidden, and showing the last answer until the next is there. */
export function useLive<Path extends Readable>(
  path: Path,
  asked: Asked<Path> = {},
  { every = EVERY, ...options }: Options<Path> = {},
): UseQueryResult<Answer<Path>, Problem> {
  return useQuery<Answer<Path>, Problem>({
    queryKey: keyOf(path, asked),
    queryFn: ({ signal }) => api.get(path, asked as object, signal),
    refetchInterval: ({ state }) => every !== false && pace(every, state.error),
    refetchIntervalInBackground: false,
    placeholderData: keepPreviousData,
    ...options,
  });
}
