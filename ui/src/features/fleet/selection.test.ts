import { act, renderHook } from "@testing-library/react";
import { expect, it } from "vitest";
import type { Filter } from "./filters.ts";
import { useSelection } from "./selection.ts";

const begin = (filter: Filter = {}) =>
  renderHook(({ filter, total }) => useSelection(filter, total), { initialProps: { filter, total: 4210 } });

it("holds workers by name, over pages", () => {
  const { result } = begin();
  act(() => result.current.togglePage(["b", "a"], true));
  act(() => result.current.toggle("c", true));
  act(() => result.current.toggle("b", false));
  expect(result.current.target).toEqual({ workers: ["a", "c"] });
  expect(result.current.count).toBe(2);
});

it("stands for all that fit, as a filter", () => {
  const { result } = begin({ queue: "gpu" });
  act(() => result.current.chooseAll());
  expect(result.current.count).toBe(4210);
  expect(result.current.chosen("anything")).toBe(true);
  expect(result.current.target).toEqual({ match: { queue: "gpu" } });
});

it("begins anew with another filter", () => {
  const { result, rerender } = begin({ queue: "gpu" });
  act(() => result.current.chooseAll());
  rerender({ filter: { queue: "cpu" }, total: 3 });
  expect(result.current.count).toBe(0);
  expect(result.current.target).toEqual({ workers: [] });
});
