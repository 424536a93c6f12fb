import { screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Asked } from "../../../build/testing.tsx";
import { queries } from "../../api/query.ts";
import { JOB, WAITING } from "../jobs/examples.ts";
import { answering, Refusal, show } from "../testing.tsx";
import { DagJobs } from "./DagJobs.tsx";

const view = () => show(<DagJobs dagId="line" />, "", "*");
const page = (...items: unknown[]) => ({ items, total: items.length });

test("what waits and what runs of a Dag, and why the oldest waits", async () => {
  const waits = { ...WAITING, id: "w", task_id: "turn" };
  const asked = await answering({
    "GET /jobs": ({ query }: Asked) =>
      query.getAll("state").length === 1 ? page(waits) : page(waits, { ...JOB, map_index: 0 }),
    "GET /explanation": WAITING.explanation,
  });
  view();
  expect(await screen.findByText(/No worker serves queue/)).toBeDefined();
  expect(screen.getByText(/1 job waits, 1 with a worker/)).toBeDefined();
  expect(screen.getByRole("link", { name: "press [0]" }).getAttribute("href")).toBe(
    "/dags/line/runs/manual__2026/tasks/press/mapped/0",
  );
  expect(screen.getByRole("link", { name: "Journey of turn" }).getAttribute("href")).toBe("/plugin/edge/jobs/w");
  expect(screen.getByRole("link", { name: "All its jobs" }).getAttribute("href")).toBe("/plugin/edge/jobs?dag_id=line");
  expect(asked.filter(({ path }) => path === "/jobs").every(({ query }) => query.get("dag_id") === "line")).toBe(true);
});

test.each([
  ["a Dag without such jobs", page()],
  ["who may not see jobs", new Refusal(403, "You lack the permission to see jobs.")],
])("%s: nothing", async (_, answer) => {
  const asked = await answering({ "GET /jobs": answer });
  view();
  await waitFor(() => expect(asked.filter(({ path }) => path === "/jobs")).toHaveLength(2));
  await waitFor(() => expect(queries.isFetching()).toBe(0));
  expect(screen.queryByText(/At edge workers|You lack/)).toBeNull();
});
