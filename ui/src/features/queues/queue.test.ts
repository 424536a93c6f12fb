import { describe, expect, it } from "vitest";
import { keyOfQueue, rate, serving, unready } from "./queue.ts";

const NONE = { maintenance: 0, out_of_reach: 0, held_back: 0, closed: 0, starting: 0, draining: 0, offline: 0 };

describe("who serves a queue", () => {
  it.each([
    [{ workers: 0, ready_workers: 0, free_slots: 0 }, "No worker"],
    [{ workers: 1, ready_workers: 1, free_slots: 1 }, "1 free slot at 1 worker"],
    [{ workers: 3, ready_workers: 3, free_slots: 48 }, "48 free slots at 3 workers"],
    [{ workers: 7, ready_workers: 5, free_slots: 0 }, "0 free slots, 5 of 7 workers ready"],
  ])("%o", (facts, words) => expect(serving(facts)).toBe(words));

  it("says why the others take nothing, the worst first", () => {
    expect(unready(NONE)).toBe("");
    expect(unready({ ...NONE, maintenance: 1, out_of_reach: 2 })).toBe("2 out of reach, 1 in maintenance");
  });
});

it.each([
  [0, "0"],
  [0.2, "0.2"],
  [2, "2"],
  [12.6, "13"],
])("writes %d a minute as %s", (perMinute, words) => expect(rate(perMinute)).toBe(words));

it("tells queues of two teams apart", () => {
  expect(keyOfQueue({ team_name: "a", queue: "q" })).not.toBe(keyOfQueue({ team_name: null, queue: "q" }));
});
