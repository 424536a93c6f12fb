import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { answering, Refusal, show } from "../testing.tsx";
import { FAILED, WAITING } from "./examples.ts";
import { Job } from "./Job.tsx";

const view = (id: string) => show(<Job />, `jobs/${id}`, "jobs/:id");

test("while it waits, it says why", async () => {
  await answering({ [`GET /jobs/${WAITING.id}`]: WAITING });
  view(WAITING.id);
  expect(await screen.findByText("Why it waits")).toBeDefined();
  expect(screen.getByText("No worker serves queue 'lathe'.")).toBeDefined();
  expect(screen.getByRole("link", { name: "lathe" }).getAttribute("href")).toBe("/plugin/edge/queues?search=lathe");
  expect(screen.getByText("Waits for a worker")).toBeDefined();
});

test("its journey has each assignment, with who had it and why not", async () => {
  await answering({ [`GET /jobs/${FAILED.id}`]: FAILED });
  view(FAILED.id);
  const journey = await screen.findByRole("list", { name: "Journey of the job" });
  const steps = within(journey).getAllByRole("listitem");
  expect(steps.map((step) => step.querySelector("p")?.textContent)).toEqual([
    "Queued",
    "Offered",
    "Refused",
    "Offered",
    "Accepted",
    "Ended",
  ]);
  expect(steps[2]?.textContent).toContain("no slot was free");
  expect(steps[3]?.textContent).toMatch(/press-7.*assignment 2.*2 s later/);
  expect(screen.getByText("status 1")).toBeDefined();
  expect(screen.getByText(FAILED.reason)).toBeDefined();
  expect(screen.queryByText("Why it waits")).toBeNull();
});

test("what the policy has denied it stands there once, also when it is over", async () => {
  const line = "Denied since 2026-11-29 12:01 UTC: it may not read variable '<b>db</b>'.";
  const waiting = { ...WAITING, explanation: { cause: "running", sentence: "It runs.", denied: [line] } };
  await answering({
    [`GET /jobs/${FAILED.id}`]: { ...FAILED, denied: [line] },
    "GET /jobs/open": { ...waiting, denied: [line] },
  });
  for (const id of [FAILED.id, "open"]) {
    const { unmount } = view(id);
    const [denied, ...more] = within(await screen.findByRole("region", { name: "Denied" })).getAllByRole("listitem");
    expect(denied?.textContent).toMatch(/^Denied since .* it may not read variable '<b>db<\/b>'\.$/);
    expect([more, screen.getAllByText("'<b>db</b>'").length]).toEqual([[], 1]);
    unmount();
  }
});

test("a job that was deleted since is no error", async () => {
  await answering({ "GET /jobs/gone": new Refusal(404, "There is no job gone; old ones are deleted.") });
  view("gone");
  expect(await screen.findByText("There is no such job any more")).toBeDefined();
  expect(screen.getByRole("link", { name: "All jobs" })).toBeDefined();
});
