import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { type Asked, draw, type Given, serve } from "../../../build/testing.tsx";
import type { WholeWorker } from "../fleet/documents.ts";
import { aRemark, aWorker } from "../fleet/examples.ts";
import { Worker } from "./Worker.tsx";

// jsdom has no canvas.
vi.mock("./Plot.tsx", () => ({ default: ({ label }: { label: string }) => <div role="img" aria-label={label} /> }));

const TASK = {
  job_id: "1",
  kind: "task",
  dag_id: "scan",
  run_id: "r1",
  task_id: "read",
  map_index: -1,
  try_number: 1,
  state: "running",
  started_at: "2026-11-29T11:00:00Z",
} as const;
const METRICS = {
  worker: "site-1",
  resolution: 60,
  times: [60, 120],
  series: { cpu_percent: [20, 40], jobs: [1, 2], round_trip: [null, null] },
};
const ANSWERS: Readonly<Record<string, unknown>> = {
  "/workers/site-1/metrics": METRICS,
  "/workers/site-1/events": {
    items: [{ id: "1", at: "2026-11-29T11:00:00Z", kind: "order", text: "concurrency 8: done", by: "kim" }],
    total: 1,
  },
  "/jobs": { items: [], total: 0 },
};

type More = { worker?: Partial<WholeWorker>; may?: boolean; answer?: (asked: Asked) => Given | undefined };

function worker({ worker, may = true, answer }: More = {}): Promise<Asked[]> {
  return serve((asked) => {
    const given = answer?.(asked);
    if (given) return given;
    if (asked.path === "/permissions") {
      return { body: { read: true, change: may, missing: "", teams: null, multi_team: false, user: "admin" } };
    }
    if (asked.path === "/workers/site-1") return { body: aWorker(worker) };
    const body = ANSWERS[asked.path];
    return body === undefined ? undefined : { body };
  });
}

const show = (more = "") => draw(<Worker />, { at: `/workers/site-1${more}`, route: "workers/:name" });

describe("a worker", () => {
  it("has its facts, its tasks and who it is", async () => {
    await worker({ worker: { jobs: 1, tasks: [TASK], maintenance_comment: "old words", disconnect_grace: 7200 } });
    show();
    await screen.findByRole("heading", { name: "site-1" });
    expect(screen.getByRole("link", { name: "scan / read" }).getAttribute("href")).toBe(
      "/dags/scan/runs/r1/tasks/read",
    );
    const identity = screen.getByRole("region", { name: "Identity" });
    expect(within(identity).getByText("12:34")).toBeTruthy();
    expect(identity.textContent).toMatch(/by admin.*plant-7 at 10\.0\.0\.7.*2 h/);
    expect(screen.queryByText(/old words/)).toBeNull();
  });

  it("says what needs somebody, and what a maintenance is about", async () => {
    await worker({
      worker: {
        stance: "maintenance",
        maintenance_comment: "new disk",
        maintenance_by: "kim",
        attention: [
          {
            kind: "held back",
            severity: "warning",
            why: "the disk is full",
            advice: "",
            command: null,
            sentence: "takes no job",
          },
        ],
      },
    });
    show();
    expect((await screen.findByRole("region", { name: "Needs attention" })).textContent).toBe(
      "WarningIt takes no job.The disk is full.",
    );
    expect(screen.getByText("new disk").tagName).toBe("BDI");
    expect(screen.getByText("kim").parentElement?.textContent).toBe("by kim");
  });

  it("says which queues its owner has closed, and until when", async () => {
    await worker({
      worker: {
        attention: [
          aRemark({
            kind: "closed queues",
            severity: "info",
            sentence: "has queues that its owner has closed",
            why: "'plc' is closed by its owner's site policy (/p.toml on that machine): it has jobs taken again from Mon 06:00 CET on",
          }),
        ],
      },
    });
    show();
    expect((await screen.findByRole("region", { name: "Needs attention" })).textContent).toMatch(
      /^NoteIt has queues that its owner has closed\.'plc' is closed by .* from Mon 06:00 CET on\.$/,
    );
  });

  it("that is not there says so, with a way out", async () => {
    await serve(() => undefined);
    show();
    await screen.findByText("There is no worker 'site-1'");
    expect(screen.getByRole("link", { name: "To the fleet" }).getAttribute("href")).toBe("/plugin/edge");
  });

  it("is drawn over the time that is asked for", async () => {
    const heard = await worker();
    show();
    expect(await screen.findByRole("img", { name: "CPU: last 40 %, between 20 % and 40 %" })).toBeTruthy();
    expect(screen.getAllByText("Nothing was measured in this time.").length).toBeGreaterThan(0);
    await userEvent.click(screen.getByRole("button", { name: "24 hours" }));
    await waitFor(() =>
      expect(
        heard
          .filter(({ path }) => path.endsWith("/metrics"))
          .at(-1)
          ?.query.get("resolution"),
      ).toBe("600"),
    );
  });

  it("tells what happened to it, and by whom", async () => {
    await worker();
    show("?tab=events");
    const event = await screen.findByRole("listitem");
    expect(event.textContent).toMatch(/Order.*concurrency 8: done, by kim/);
  });
});

describe("its own log", () => {
  const log = (asked: Asked): Given | undefined =>
    asked.path === "/workers/site-1/log"
      ? {
          body: {
            worker: "site-1",
            records: [{ time: "2026-11-29T12:00:00Z", level: "ERROR", source: "agent", text: "disk full" }],
            lost: 0,
            answers: [],
            next: 1,
          },
        }
      : asked.path === "/workers/log"
        ? { body: [{ worker: "site-1", result: "waiting", detail: "", order_id: "1" }] }
        : undefined;

  it("is asked for, and shown from the level on that is chosen", async () => {
    const heard = await worker({ answer: log });
    show("?tab=log");
    expect((await screen.findByText("disk full")).parentElement?.textContent).toContain("ERROR");
    expect(heard.find(({ path }) => path === "/workers/log")?.body).toEqual({
      workers: ["site-1"],
      lines: 200,
      continues: null,
      level: 20,
    });
    await userEvent.selectOptions(screen.getByRole("combobox", { name: "Level" }), "Error");
    await waitFor(() =>
      expect(
        heard
          .filter(({ path }) => path === "/workers/site-1/log")
          .at(-1)
          ?.query.get("level"),
      ).toBe("40"),
    );
  });

  it("is only read by who may not change anything", async () => {
    const heard = await worker({ answer: log, may: false });
    show("?tab=log");
    await screen.findByText("disk full");
    expect(heard.some(({ method }) => method === "POST")).toBe(false);
  });
});

describe("what can be done with it", () => {
  it("is said before with what is lost, done after a word, and the focus comes back", async () => {
    const heard = await worker({
      answer: ({ path, query }) =>
        path === "/workers/revoke"
          ? {
              body: [
                query.get("dry_run") === "true"
                  ? { worker: "site-1", result: "would", detail: "1 task is lost (scan/read)", order_id: null }
                  : { worker: "site-1", result: "done", detail: "", order_id: null },
              ],
            }
          : undefined,
    });
    show();
    const menu = await screen.findByRole("button", { name: /More actions/ });
    await userEvent.click(menu);
    await userEvent.click(await screen.findByRole("menuitem", { name: "Revoke…" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Revoke site-1" });
    await within(dialog).findByText(/1 task is lost \(scan\/read\)/);
    expect(heard.filter(({ method }) => method === "POST")).toHaveLength(1);
    await userEvent.click(within(dialog).getByRole("button", { name: "Revoke" }));
    await within(dialog).findByText(/done/);
    expect(heard.filter(({ method }) => method === "POST").at(-1)).toMatchObject({ body: { workers: ["site-1"] } });
    await userEvent.click(within(dialog).getAllByRole("button", { name: "Close" })[0] as HTMLElement);
    await waitFor(() => expect(document.activeElement).toBe(menu));
  });

  it("is asked again when what is typed changes, and not while it is wrong", async () => {
    const heard = await worker({
      answer: ({ path }) =>
        path === "/workers/concurrency"
          ? { body: [{ worker: "site-1", result: "would", detail: "no task runs there", order_id: null }] }
          : undefined,
    });
    show();
    await userEvent.click(await screen.findByRole("button", { name: /More actions/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Set slots…" }));
    const dialog = await screen.findByRole("dialog", { name: "Set the slots of site-1" });
    const slots = within(dialog).getByRole("spinbutton", { name: /Slots/ });
    await within(dialog).findByText(/no task runs there/);
    await userEvent.clear(slots);
    await userEvent.type(slots, "0");
    await within(dialog).findByText("A whole number from 1 to 100,000.");
    expect(within(dialog).getByRole<HTMLButtonElement>("button", { name: "Set slots" }).disabled).toBe(true);
    await userEvent.clear(slots);
    await userEvent.type(slots, "12");
    await waitFor(() =>
      expect(heard.filter(({ method }) => method === "POST").at(-1)?.body).toEqual({
        workers: ["site-1"],
        concurrency: 12,
      }),
    );
    expect(
      heard.filter(({ method }) => method === "POST").map(({ body }) => (body as { concurrency: number }).concurrency),
    ).not.toContain(0);
  });

  it("is not offered to whom it is refused", async () => {
    await worker({ may: false });
    show();
    await screen.findByRole("heading", { name: "site-1" });
    expect(screen.queryByRole("button", { name: /More actions|maintenance/ })).toBeNull();
  });
});
