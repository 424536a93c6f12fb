/** Which workers are chosen for an action: by name, or all that fit the filter, on whatever page. */
import { useCallback, useMemo, useState } from "react";
import type { Filter } from "./filters.ts";

/** What an action is for, as the API takes it: `workers` by name, or `match`, a filter. */
export type Target = { workers: string[] } | { match: Filter };

export type Selection = {
  chosen: (name: string) => boolean;
  count: number;
  /** All that fit are chosen, also those on other pages. */
  all: boolean;
  toggle: (name: string, on: boolean) => void;
  togglePage: (names: readonly string[], on: boolean) => void;
  chooseAll: () => void;
  clear: () => void;
  target: Target;
};

type Kept = { of: string; names: ReadonlySet<string>; all: boolean };

const NONE: ReadonlySet<string> = new Set();

/** Keep a selection; with another filter it begins anew, since nobody acts on what is not seen any more. */
export function useSelection(filter: Filter, total: number): Selection {
  const of = JSON.stringify(filter);
  const [kept, keep] = useState<Kept>({ of, names: NONE, all: false });
  const { names, all } = kept.of === of ? kept : { names: NONE, all: false };
  const put = useCallback(
    (changed: readonly string[], on: boolean) =>
      keep((before) => {
        const next = new Set(before.of === of ? before.names : NONE);
        for (const name of changed) on ? next.add(name) : next.delete(name);
        return { of, names: next, all: false };
      }),
    [of],
  );
  const toggle = useCallback((name: string, on: boolean) => put([name], on), [put]);
  return useMemo(
    () => ({
      chosen: (name) => all || names.has(name),
      count: all ? total : names.size,
      all,
      toggle,
      togglePage: put,
      chooseAll: () => keep({ of, names: NONE, all: true }),
      clear: () => keep({ of, names: NONE, all: false }),
      target: all ? { match: JSON.parse(of) as Filter } : { workers: [...names].sort() },
    }),
    [of, names, all, total, toggle, put],
  );
}
