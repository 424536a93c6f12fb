import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { Job } from "../documents.ts";
import { answering, show } from "../testing.tsx";
import { JOB } from "./examples.ts";
import { Jobs } from "./Jobs.tsx";

const list = (...items: Job[]) => ({ items, total: items.length });
const view = (at = "jobs") => show(<Jobs />, at, "jobs");

test("a job leads to its task instance, to its worker and to its journey", async () => {
  await answering({ "GET /jobs": list({ ...JOB, map_index: 3, try_number: 2 }) });
  view();
  const to = async (name: string) => (await screen.findByRole("link", { name })).getAttribute("href");
  expect(await to("press [3]")).toBe("/dags/line/runs/manual__2026/tasks/press/mapped/3");
  expect(await to("press-7")).toBe("/plugin/edge/workers/press-7");
  expect(await to("Journey of press [3]")).toBe(`/plugin/edge/jobs/${JOB.id}`);
  expect(screen.getByText(/try 2/).innerHTML).toContain("<bdi>line</bdi> · <bdi>manual__2026</bdi>");
});

test("what has no page in Airflow, and a worker that is gone, are no links", async () => {
  await answering({
    "GET /jobs": list({ ...JOB, kind: "callback", worker: "3b1f8f3e-0a4e-4e9b-8a6d-2f6a7f5f4a11" }),
  });
  view();
  expect(await screen.findByText("Callback of press")).toBeDefined();
  expect(screen.getByText("removed worker")).toBeDefined();
  expect(screen.getAllByRole("link")).toHaveLength(1);
});

test("the address says what is looked for, and the server looks", async () => {
  const asked = await answering({ "GET /jobs": list(JOB) });
  const { address } = view("jobs?state=queued&queue=press");
  await screen.findByText("1 job");
  const first = asked.find(({ path }) => path === "/jobs")?.query;
  expect([first?.getAll("state"), first?.get("queue"), first?.get("order_by")]).toEqual([
    ["queued"],
    "press",
    "-queued_at",
  ]);
  // Who was led here by a queue sees that it is asked for.
  expect(screen.getByLabelText("Queue")).toHaveProperty("value", "press");
  const running = screen.getByRole("button", { name: "Running" });
  expect(running.ariaPressed).toBe("false");
  await userEvent.click(running);
  await waitFor(() => expect(asked.at(-1)?.query.getAll("state")).toEqual(["queued", "running"]));
  expect(address()).toContain("state=queued&state=running");
  await userEvent.type(screen.getByLabelText("Search by Dag, run or task"), "line");
  await waitFor(() => expect(asked.at(-1)?.query.get("search")).toBe("line"));
});

test("one of many mapped tasks is found by its map index, which is a number whatever is typed", async () => {
  const asked = await answering({ "GET /jobs": list({ ...JOB, map_index: 7 }) });
  const { address } = view("jobs?task_id=press&map_index=x");
  await screen.findByText("1 job");
  expect(asked.find(({ path }) => path === "/jobs")?.query.has("map_index")).toBe(false);
  const field = screen.getByLabelText<HTMLInputElement>("Map index");
  await userEvent.clear(field);
  await userEvent.type(field, "7th");
  await waitFor(() => expect(asked.at(-1)?.query.get("map_index")).toBe("7"));
  expect(field.value).toBe("7");
  expect(address()).toContain("map_index=7");
});

test("the next page is asked for", async () => {
  const asked = await answering({ "GET /jobs": { items: [JOB], total: 120 } });
  const { address } = view();
  await userEvent.click(await screen.findByRole("button", { name: "Next" }));
  await waitFor(() => expect(asked.at(-1)?.query.get("offset")).toBe("50"));
  expect(address()).toContain("page=2");
});

test("a page beyond the last one leads back to the first", async () => {
  await answering({ "GET /jobs": { items: [], total: 60 } });
  const { address } = view("jobs?page=4");
  await userEvent.click(await screen.findByRole("button", { name: "To the first page" }));
  expect(address()).toBe("/plugin/edge/jobs");
});

test("an empty list teaches, and one that a filter empties leads back", async () => {
  await answering({ "GET /jobs": list() });
  const { unmount } = view();
  expect(await screen.findByText("No job")).toBeDefined();
  unmount();
  const { address } = view("jobs?worker=x");
  await userEvent.click(await screen.findByRole("button", { name: "Show all jobs" }));
  expect(address()).toBe("/plugin/edge/jobs");
});
