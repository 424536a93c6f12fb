/** What a list shows, as it stands in the address: it can be linked to, and the browser's Back works. */
import { useSearchParams } from "react-router-dom";

export type Value = string | readonly string[] | undefined;

export type ListState = {
  /** A filter with one value; empty where it is not set. */
  get: (name: string) => string;
  /** A filter with several values. */
  all: (name: string) => string[];
  /** Set filters, and go to the first page; an empty one is removed. */
  set: (values: Readonly<Record<string, Value>>) => void;
  /** As the API takes it: `name`, `-name`. */
  order: string;
  setOrder: (order: string) => void;
  limit: number;
  offset: number;
  setOffset: (offset: number) => void;
};

/** Follow the address. `order` and `limit` are what holds where it says nothing. */
export function useList({ order, limit = 50 }: { order: string; limit?: number }): ListState {
  const [params, setParams] = useSearchParams();
  const change = (values: Readonly<Record<string, Value>>, replace: boolean) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        for (const [name, value] of Object.entries(values)) {
          after.delete(name);
          for (const one of typeof value === "string" ? [value] : (value ?? [])) if (one) after.append(name, one);
        }
        return after;
      },
      { replace },
    );
  const page = Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1);
  return {
    get: (name) => params.get(name) ?? "",
    all: (name) => params.getAll(name),
    set: (values) => change({ ...values, page: undefined }, true),
    order: params.get("order") ?? order,
    setOrder: (wanted) => change({ order: wanted === order ? undefined : wanted, page: undefined }, true),
    limit,
    offset: (page - 1) * limit,
    setOffset: (offset) => change({ page: offset > 0 ? String(Math.floor(offset / limit) + 1) : undefined }, false),
  };
}
