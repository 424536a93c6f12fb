import { screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { JOB, WAITING } from "../jobs/examples.ts";
import { answering, Refusal, show } from "../testing.tsx";
import { Why } from "./Why.tsx";

const view = (mapIndex = -1) =>
  show(<Why dagId="line" runId="manual__2026" taskId="press" mapIndex={mapIndex} />, "", "*");

test("a task that waits: why, and its job's way", async () => {
  const asked = await answering({
    "GET /explanation": WAITING.explanation,
    "GET /jobs": { items: [WAITING], total: 1 },
    [`GET /jobs/${WAITING.id}`]: WAITING,
  });
  view();
  expect(await screen.findByText("No worker serves queue 'lathe'.")).toBeDefined();
  expect(await screen.findByRole("list", { name: "Journey of the job" })).toBeDefined();
  expect(screen.getByRole("link", { name: "The job’s own page" }).getAttribute("href")).toBe(
    `/plugin/edge/jobs/${WAITING.id}`,
  );
  expect((await screen.findByRole("link", { name: "Add a worker for it" })).getAttribute("href")).toBe(
    "/plugin/edge/add?queues=lathe",
  );
  const query = asked.find(({ path }) => path === "/explanation")?.query;
  expect(Object.fromEntries(query ?? [])).toEqual({
    dag_id: "line",
    run_id: "manual__2026",
    task_id: "press",
    map_index: "-1",
  });
});

test("another mapped task's job is not its own", async () => {
  await answering({
    "GET /explanation": { cause: "not-handed-over", sentence: "Airflow has queued it." },
    "GET /jobs": { items: [{ ...JOB, map_index: 1 }], total: 1 },
  });
  view(2);
  expect(await screen.findByText(/has not handed it to the edge executor/)).toBeDefined();
});

test("what the policy has denied the task stands below why it waits", async () => {
  await answering({
    "GET /explanation": {
      cause: "failed",
      sentence: "It has failed.",
      denied: ["may not read connection '<b>db</b>'"],
    },
    "GET /jobs": { items: [], total: 0 },
  });
  view();
  expect(await screen.findByText("may not read connection '<b>db</b>'")).toBeDefined();
});

test("a task that never went by the edge executor: words", async () => {
  await answering({
    "GET /explanation": { cause: "other-executor", sentence: "It is queued for LocalExecutor." },
    "GET /jobs": { items: [], total: 0 },
  });
  view();
  expect(await screen.findByText("Not with the edge workers")).toBeDefined();
  expect(await screen.findByText(/There is no job of it/)).toBeDefined();
});

test("who may not see jobs is told so", async () => {
  await answering({ "GET /explanation": new Refusal(403, "You lack the permission to see jobs.") });
  view();
  expect(await screen.findByText("You lack the permission to see jobs.")).toBeDefined();
});
