import { describe, expect, test } from "vitest";
import type { Step } from "../documents.ts";
import { capital, exitOf, isOpen, isTask, journeyOf, nameOf, STATES, wasRemoved } from "./job.ts";

describe("a job's name", () => {
  test.each([
    [{ kind: "task", task_id: "load", map_index: -1 }, "load"],
    [{ kind: "task", task_id: "load", map_index: 0 }, "load [0]"],
    [{ kind: "callback", task_id: "load", map_index: -1 }, "Callback of load"],
    [{ kind: "callback", task_id: "", map_index: -1 }, "Callback of the Dag"],
    [{ kind: "test", task_id: "", map_index: -1 }, "Test job"],
  ])("%o", (job, name) => expect(nameOf(job)).toBe(name));

  test("only a task has a page in Airflow", () => {
    expect(isTask({ kind: "task", dag_id: "d" })).toBe(true);
    expect(isTask({ kind: "callback", dag_id: "d" })).toBe(false);
    expect(isTask({ kind: "test", dag_id: "" })).toBe(false);
  });
});

test("a worker that was removed is known by its id, and by nothing else", () => {
  expect(wasRemoved("3b1f8f3e-0a4e-4e9b-8a6d-2f6a7f5f4a11")).toBe(true);
  expect(wasRemoved("press-7")).toBe(false);
});

test("each state has words, and three of them are not the last", () => {
  const states = Object.keys(STATES) as (keyof typeof STATES)[];
  expect(states.filter(isOpen)).toEqual(["queued", "leased", "running"]);
  expect(new Set(states.map((state) => STATES[state].word)).size).toBe(states.length);
});

test.each([
  [{ exit_code: 0, signal: null }, "status 0"],
  [{ exit_code: null, signal: 9 }, "signal 9"],
  [{ exit_code: null, signal: null }, null],
])("what its process ended with: %o", (job, words) => expect(exitOf(job)).toBe(words));

const at = (second: number) => new Date(Date.UTC(2026, 10, 29, 12, 0, second)).toISOString();
const step = (second: number, event: string): Step => ({
  at: at(second),
  event,
  text: "",
  worker: null,
  assignment: null,
});

describe("a journey", () => {
  test("says how long each step took, and nothing of what took no time", () => {
    const shown = journeyOf([step(0, "queued"), step(12, "offered"), step(12, "accepted")], "running");
    expect(shown.map(({ after }) => after)).toEqual([null, "12 s", null]);
  });

  test("has the end look as the job ended", () => {
    const end = (state: Parameters<typeof journeyOf>[1]) => journeyOf([step(0, "ended")], state)[0]?.tone;
    expect([end("succeeded"), end("failed"), end("lost"), end("cancelled")]).toEqual([
      "good",
      "bad",
      "warning",
      "quiet",
    ]);
  });

  test("marks what went wrong on the way", () => {
    const tones = journeyOf(
      [step(0, "offered"), step(1, "refused"), step(2, "offered"), step(3, "accepted")],
      "running",
    );
    expect(tones.map(({ tone }) => tone)).toEqual(["quiet", "warning", "quiet", "good"]);
  });

  test("an event that the page does not know is shown all the same", () => {
    const [shown] = journeyOf([step(0, "parked")], "queued");
    expect(capital(shown?.event ?? "")).toBe("Parked");
    expect(shown?.tone).toBe("quiet");
  });
});
