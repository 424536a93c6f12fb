/** Which workers are shown; it stands in the page's address, so that it can be sent on. */
import { at } from "../../place.ts";
import type { ListState } from "../../ui/list.ts";
import type { Link, Load, Stance } from "./documents.ts";

export const LINKS: readonly Link[] = ["linked", "out of reach", "offline", "never linked", "revoked"];
/** Who is `away` is found by its link, which says how. */
export const STANCES: readonly Stance[] = ["taking jobs", "maintenance", "draining", "held back", "starting"];
export const LOADS: readonly Load[] = ["idle", "busy", "full"];

const SINGLE = ["search", "attention", "queue", "team"] as const;
const SEVERAL = ["link", "stance", "load"] as const;
export const NAMES = [...SINGLE, ...SEVERAL] as const;

/** A filter by the names of `GET /workers`; what is not there does not matter. */
export type Filter = { [Name in (typeof SINGLE)[number]]?: string } & {
  link?: Link[];
  stance?: Stance[];
  load?: Load[];
};

/** Read what stands in the address. */
export function filterOf(list: Pick<ListState, "get" | "all">): Filter {
  const filter: Filter = {};
  for (const name of SINGLE) {
    const value = list.get(name);
    if (value) filter[name] = value;
  }
  // Words that there are not, of an older address, would be refused.
  const known = <Word extends string>(name: (typeof SEVERAL)[number], words: readonly Word[]) => {
    const values = words.filter((word) => list.all(name).includes(word));
    return values.length ? { [name]: values } : {};
  };
  return { ...filter, ...known("link", LINKS), ...known("stance", STANCES), ...known("load", LOADS) };
}

/** Give the address of the fleet with a filter. */
export function fleetWith(filter: Filter): string {
  const asked = Object.entries(filter).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  return `${at()}?${new URLSearchParams(asked)}`;
}

/** Say whether anything is filtered out. */
export function isFiltered(filter: Filter): boolean {
  return Object.keys(filter).length > 0;
}
