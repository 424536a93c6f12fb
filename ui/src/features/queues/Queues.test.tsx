import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { Queue } from "../documents.ts";
import { answering, MAY, Refusal, show } from "../testing.tsx";
import { Queues } from "./Queues.tsx";

const server = (worker: string): Queue["served_by"][number] => ({
  worker,
  link: "linked",
  stance: "taking jobs",
  free_slots: 4,
});

const PRESS: Queue = {
  team_name: null,
  queue: "press",
  queued: 0,
  running: 0,
  oldest_queued_at: null,
  workers: 1,
  ready_workers: 1,
  slots: 4,
  free_slots: 4,
  in_rate: 0,
  out_rate: 0,
  served_by: [server("press-7")],
  unready: { maintenance: 0, out_of_reach: 0, held_back: 0, closed: 0, starting: 0, draining: 0, offline: 0 },
  paused: null,
  attention: null,
};
const LATHE: Queue = {
  ...PRESS,
  queue: "lathe",
  queued: 41,
  workers: 0,
  ready_workers: 0,
  slots: 0,
  free_slots: 0,
  served_by: [],
  attention: {
    kind: "queue nobody serves",
    severity: "error",
    why: "",
    advice: "",
    sentence: "41 jobs wait in queue 'lathe', which no worker serves.",
    command: "airflow edge enroll-token create --queues lathe",
  },
};
const list = (...items: Queue[]) => ({ items, total: items.length });
const view = (at = "queues") => show(<Queues />, at, "queues");

test("a queue that nobody serves stands out, with the command and the way to add a worker for it", async () => {
  await answering({ "GET /queues": list(LATHE) });
  view();
  expect(await screen.findByText(/which no worker serves/)).toBeDefined();
  expect((await screen.findByRole("code")).textContent).toBe("airflow edge enroll-token create --queues lathe");
  expect(screen.getByRole("link", { name: "Add a worker for it" }).getAttribute("href")).toBe(
    "/plugin/edge/add?queues=lathe",
  );
  expect(screen.getByRole("link", { name: "41 jobs waiting in queue lathe" }).getAttribute("href")).toBe(
    "/plugin/edge/jobs?queue=lathe&state=queued",
  );
});

test("a queue that its workers' owners have closed says so, and until when", async () => {
  const shut: Queue = {
    ...PRESS,
    queued: 2,
    ready_workers: 0,
    slots: 0,
    free_slots: 0,
    unready: { ...PRESS.unready, closed: 1 },
    attention: {
      kind: "queue without ready worker",
      severity: "info",
      sentence: "2 jobs wait in queue 'press', and its only worker does not take jobs: 1 closed by the owner.",
      why: "closed by its owner's site policy (/p.toml on that machine): it has jobs taken again from Mon 06:00 CET on",
      advice: "",
      command: null,
    },
  };
  await answering({ "GET /queues": list(shut) });
  view();
  expect(await screen.findByText("1 closed by the owner")).toBeDefined();
  expect(screen.getByText(/Closed by its owner's site policy .* from Mon 06:00 CET on\.$/)).toBeDefined();
});

test("at most three who serve it are named, and how many more do", async () => {
  const served_by = ["press-1", "press-2", "press-3", "press-4"].map(server);
  await answering({ "GET /queues": list({ ...PRESS, workers: 7, ready_workers: 7, served_by }) });
  view();
  expect((await screen.findByRole("link", { name: "4 more" })).getAttribute("href")).toBe("/plugin/edge?queue=press");
  expect(screen.queryByRole("link", { name: "press-4" })).toBeNull();
  expect(screen.getByRole("link", { name: "press-3" }).getAttribute("href")).toBe("/plugin/edge/workers/press-3");
});

test("it is paused with a note, and then it says who paused it and why", async () => {
  let paused: Queue["paused"] = null;
  const asked = await answering({
    "GET /queues": () => list({ ...PRESS, running: 2, paused }),
    "POST /queues/pause": ({ body }: { body: { note: string } }) => {
      paused = { note: body.note, by: "ada", since: "2026-11-29T12:00:00Z" };
      return [];
    },
  });
  const user = userEvent.setup({ delay: null });
  view();
  await user.click(await screen.findByRole("button", { name: "Pause queue press" }));
  const dialog = within(await screen.findByRole("dialog"));
  expect(dialog.getByText(/2 jobs run on to the end/)).toBeDefined();
  expect(dialog.getByRole("button", { name: "Pause the queue" })).toHaveProperty("disabled", true);
  await user.type(dialog.getByLabelText(/Note/), "new mould");
  await user.click(dialog.getByRole("button", { name: "Pause the queue" }));
  const by = await screen.findByText("ada");
  expect([by.tagName, screen.getByText("new mould").tagName]).toEqual(["BDI", "BDI"]);
  expect(by.parentElement?.textContent).toMatch(/^“new mould”, ada, /);
  expect(asked.find(({ method }) => method === "POST")?.body).toEqual({
    queues: ["press"],
    team: null,
    note: "new mould",
  });
  expect(await screen.findByRole("button", { name: "Resume queue press" })).toBeDefined();
});

test("why a queue could not be resumed stands beside it", async () => {
  await answering({
    "GET /queues": list({ ...PRESS, paused: { note: "x", by: "ada", since: "2026-11-29T12:00:00Z" } }),
    "POST /queues/resume": new Refusal(403, "User 'bob' lacks the permission to edit pools."),
  });
  view();
  await userEvent.click(await screen.findByRole("button", { name: "Resume queue press" }));
  expect((await screen.findByRole("alert")).textContent).toContain("to edit pools");
});

test("who may only look is offered nothing", async () => {
  await answering({ "GET /queues": list(LATHE), "GET /permissions": { ...MAY, change: false } });
  view();
  await screen.findByText(/which no worker serves/);
  expect(screen.queryByRole("button", { name: /Pause/ })).toBeNull();
  expect(screen.queryByRole("link", { name: "Add a worker for it" })).toBeNull();
});

test("search and order stand in the address, and are the server's to do", async () => {
  const asked = await answering({ "GET /queues": list(PRESS) });
  const { address } = view("queues?queue=press");
  await screen.findByText("1 queue");
  expect(asked.find(({ path }) => path === "/queues")?.query.get("search")).toBe("press");
  await userEvent.selectOptions(screen.getByLabelText("Sort by"), "oldest_queued_at");
  await waitFor(() => expect(asked.at(-1)?.query.get("order_by")).toBe("oldest_queued_at"));
  expect(address()).toContain("order=oldest_queued_at");
  const sorted = screen.getAllByRole("columnheader", { hidden: true }).filter((head) => head.ariaSort === "ascending");
  expect(sorted.map((head) => head.textContent)).toEqual([expect.stringContaining("Oldest")]);
});

test("an empty list teaches, and one that a filter empties leads back", async () => {
  await answering({ "GET /queues": list() });
  const { unmount } = view();
  expect(await screen.findByText("No queue yet")).toBeDefined();
  unmount();
  const { address } = view("queues?search=x");
  await userEvent.click(await screen.findByRole("button", { name: "Show all queues" }));
  expect(address()).toBe("/plugin/edge/queues");
});

test("what went wrong is said, and tried again", async () => {
  let broken = true;
  await answering({
    "GET /queues": () => (broken ? new Refusal(403, "You lack the permission to see jobs.") : list(PRESS)),
  });
  view();
  expect(await screen.findByText(/lack the permission to see jobs/)).toBeDefined();
  broken = false;
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByText("press")).toBeDefined();
});
