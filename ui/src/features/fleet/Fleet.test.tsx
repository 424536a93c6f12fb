import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useLocation } from "react-router-dom";
import { describe, expect, it } from "vitest";
import { type Asked, draw, type Given, serve } from "../../../build/testing.tsx";
import { firstOf } from "../../api/early.ts";
import type { Overview, WorkerDocument } from "./documents.ts";
import { anOverview, aRemark, aWorker } from "./examples.ts";
import { Fleet } from "./Fleet.tsx";

const MAY = { read: true, change: true, missing: "", teams: null, multi_team: false, user: "admin" };

type Told = { overview?: Partial<Overview>; workers?: Partial<WorkerDocument>[]; total?: number; may?: boolean };

/** Answer as the API would. */
function fleet({ overview, workers = [{}], total = workers.length, may = true }: Told = {}): Promise<Asked[]> {
  return serve(({ method, path, query, body }): Given | undefined => {
    if (path === "/overview") return { body: anOverview(overview) };
    if (path === "/permissions") return { body: { ...MAY, change: may } };
    if (path === "/workers") {
      return { body: { items: workers.map((one, at) => aWorker({ id: String(at), ...one })), total } };
    }
    if (method !== "POST") return undefined;
    const dry = query.get("dry_run") === "true";
    const detail = dry ? "takes no new task; 1 task goes on (scan/read)" : "";
    const names = (body as { workers?: string[] }).workers ?? [];
    return { body: names.map((worker) => ({ worker, result: dry ? "would" : "done", detail, order_id: null })) };
  });
}

function Address() {
  return <output data-testid="address">{useLocation().search}</output>;
}

/** Draw the fleet; `address()` says what stands in the browser's. */
function show(at = "/") {
  draw(
    <>
      <Fleet />
      <Address />
    </>,
    { at },
  );
  return { address: () => screen.getByTestId("address").textContent };
}

it("reads first what was asked for before it was there", async () => {
  const asked = await fleet();
  show();
  const early = firstOf("http://host/", { pathname: "/plugin/edge", search: "" }).map((url) => new URL(url));
  const wanted = early.map(({ pathname, search }) => `${pathname}${search}`);
  await waitFor(() =>
    expect(asked.map(({ path, query }) => (query.size ? `${path}?${query}` : path))).toEqual(
      expect.arrayContaining(wanted),
    ),
  );
});

describe("at a glance", () => {
  it("counts, and each number leads to what it counts", async () => {
    await fleet();
    show();
    const facts = await screen.findByRole("region", { name: "The fleet at a glance" });
    const reach = await within(facts).findByRole("link", { name: /Out of reach/ });
    expect(reach.textContent).toMatch(/2.*for /);
    expect(reach.getAttribute("href")).toBe("/plugin/edge?link=out+of+reach");
    expect(within(facts).getByRole("link", { name: /Slots taken/ }).textContent).toContain("20 of 72");
    expect(within(facts).getByRole("link", { name: /Jobs waiting/ }).textContent).toMatch(/5.*gpu/);
    // Nobody is in these: no word about them.
    expect(within(facts).queryByText("Draining")).toBeNull();
  });

  it("counts the slots that are taken, and says apart how many a job could have now", async () => {
    await fleet({ overview: { slots: { total: 8, taken: 3, free: 0 } } });
    show();
    const slots = await screen.findByRole("link", { name: /Slots taken/ });
    expect(slots.textContent).toBe("Slots taken0 free3 of 8");
  });

  it("is calm where nothing needs a person", async () => {
    await fleet();
    show();
    const attention = screen.getByRole("region", { name: "Needs attention" });
    expect(await within(attention).findByText(/^Nothing\./)).toBeTruthy();
  });

  it("says what needs a person, with what to do beside it", async () => {
    await fleet({
      overview: {
        attention: [
          {
            kind: "queue nobody serves",
            severity: "error",
            sentence: "4 jobs wait in queue 'lathe', which no worker serves.",
            count: 4,
            since: "2026-11-29T11:00:00Z",
            workers: [],
            queue: "lathe",
            team: null,
            action: { label: "Add a worker for it", view: "add", params: { queues: "lathe" }, act: null },
            why: "",
            advice: "",
            command: "airflow edge enroll-token create --queues lathe",
          },
        ],
      },
    });
    show();
    const attention = screen.getByRole("region", { name: /Needs attention/ });
    const item = await within(attention).findByRole("listitem");
    expect(item.textContent).toMatch(/^Error4 jobs wait/);
    expect(within(item).getByRole("code").textContent).toBe("airflow edge enroll-token create --queues lathe");
    expect((await within(item).findByRole("link", { name: "Add a worker for it" })).getAttribute("href")).toBe(
      "/plugin/edge/add?queues=lathe",
    );
  });

  it("ends a maintenance from where it is said that jobs wait for it, and tells what came of it", async () => {
    const waits: Overview["attention"][number] = {
      kind: "queue without ready worker",
      severity: "error",
      sentence: "3 jobs wait in queue 'plc', and its only worker does not take jobs: 1 in maintenance.",
      why: "in maintenance by kim: 'the hydraulics are being changed'",
      advice: "",
      count: 3,
      since: "2026-11-29T11:00:00Z",
      workers: ["press-7"],
      queue: "plc",
      team: null,
      action: {
        label: "End the maintenance",
        view: "workers",
        params: { queue: "plc", stance: "maintenance" },
        act: "exit",
      },
      command: null,
    };
    let ended = false;
    const calls = await serve(({ method, path, query, body }) => {
      if (path === "/overview") return { body: anOverview({ attention: ended ? [] : [waits] }) };
      if (path === "/permissions") return { body: MAY };
      if (path === "/workers") return { body: { items: [aWorker()], total: 1 } };
      if (method !== "POST") return undefined;
      const dry = query.get("dry_run") === "true";
      ended = !dry;
      const result = dry ? "would" : "done";
      return { body: [{ worker: "press-7", result, detail: `by kim, ${JSON.stringify(body)}`, order_id: null }] };
    });
    show();
    const attention = screen.getByRole("region", { name: /Needs attention/ });
    expect((await within(attention).findByRole("listitem")).textContent).toContain("In maintenance by kim");
    await userEvent.click(await within(attention).findByRole("button", { name: "End the maintenance…" }));
    const dialog = await screen.findByRole("dialog", { name: "End the maintenance in queue 'plc'" });
    await within(dialog).findByText(/"stance":\["maintenance"\]/);
    await userEvent.click(within(dialog).getByRole("button", { name: "End maintenance" }));
    // Exactly those that were shown, also if another fits the filter by now; and it is told though all is well.
    await within(dialog).findByText(/done, by kim, {"workers":\["press-7"\]}/);
    await within(attention).findByText(/^Nothing\./);
    expect(calls.filter(({ method }) => method === "POST")).toHaveLength(2);
  });

  it("teaches where there is no worker yet", async () => {
    await fleet({ overview: { workers: { ...anOverview().workers, total: 0 } }, workers: [] });
    show();
    expect((await screen.findByRole("link", { name: "Add a worker" })).getAttribute("href")).toBe("/plugin/edge/add");
  });
});

describe("the workers", () => {
  it("have their facts in words, and lead to themselves and their tasks", async () => {
    await fleet({
      workers: [
        {
          link: "out of reach",
          stance: "maintenance",
          load: "full",
          maintenance_comment: "new disk",
          queues: ["a", "b", "c", "d"],
          tasks: [
            {
              job_id: "1",
              kind: "task",
              dag_id: "scan",
              run_id: "r 1",
              task_id: "read",
              map_index: 2,
              try_number: 1,
              state: "running",
              started_at: null,
            },
          ],
          attention: [aRemark({ kind: "copied key", why: "press-8 tries it, too" })],
        },
      ],
    });
    show();
    const row = (await screen.findByRole("link", { name: "site-1" })).closest("tr") as HTMLElement;
    for (const word of ["Out of reach", "Maintenance", "new disk", "Full", "3 of 8", "+2", "Copied key", "plant-7"]) {
      expect(row.textContent).toContain(word);
    }
    expect(within(row).getByRole("link", { name: "scan / read [2]" }).getAttribute("href")).toBe(
      "/dags/scan/runs/r%201/tasks/read/mapped/2",
    );
  });

  it("are filtered and sorted by the server, and the address says how", async () => {
    const calls = await fleet();
    const { address } = show("/?link=linked&link=offline");
    await userEvent.click(await screen.findByRole("button", { name: /^CPU/ }));
    await userEvent.selectOptions(screen.getByRole("combobox", { name: "Stance" }), "Maintenance");
    expect(address()).toBe("?link=linked&link=offline&order=-cpu&stance=maintenance");
    await waitFor(() => {
      const asked = calls.filter((call) => call.path === "/workers").at(-1)?.query;
      expect(asked?.getAll("link")).toEqual(["linked", "offline"]);
      expect(asked?.get("stance")).toBe("maintenance");
      expect(asked?.get("order_by")).toBe("-cpu");
      expect(asked?.get("limit")).toBe("50");
    });
    expect(screen.getByRole("columnheader", { name: /^CPU/ }).getAttribute("aria-sort")).toBe("descending");
  });

  it("can be found again where no one fits", async () => {
    await fleet({ workers: [] });
    const { address } = show("/?queue=gone");
    await userEvent.click(
      await within(await screen.findByRole("region", { name: "Workers" })).findByText("No worker fits"),
    );
    await userEvent.click(screen.getAllByRole("button", { name: "Clear filters" }).at(-1) as HTMLElement);
    expect(address()).toBe("");
  });

  it("say in words why they could not be read, and are asked for again", async () => {
    let well = false;
    await serve(({ path }) => {
      if (path === "/overview") return { body: anOverview() };
      if (path !== "/workers") return { body: MAY };
      const detail = "User 'kim' lacks the permission to see jobs.";
      return well
        ? { body: { items: [aWorker()], total: 1 } }
        : { status: 403, body: { status: 403, code: "forbidden", title: "Forbidden", detail } };
    });
    show();
    expect((await screen.findByRole("alert")).textContent).toContain("lacks the permission to see jobs");
    well = true;
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("link", { name: "site-1" })).toBeTruthy();
  });
});

describe("an action on several", () => {
  it("says what happens to the tasks there before it is done", async () => {
    const calls = await fleet({ workers: [{ name: "a" }, { name: "b" }] });
    show();
    await userEvent.click(await screen.findByRole("checkbox", { name: "Choose all on this page" }));
    await userEvent.click(screen.getByRole("button", { name: "Put into maintenance…" }));
    const dialog = await screen.findByRole("dialog", { name: "Put 2 workers into maintenance" });
    expect((await within(dialog).findAllByText(/1 task goes on/)).length).toBeGreaterThan(0);
    expect(calls.filter((call) => call.method === "POST").every((call) => call.query.get("dry_run") === "true")).toBe(
      true,
    );

    await userEvent.type(within(dialog).getByRole("textbox", { name: /Comment/ }), "new disk");
    await userEvent.click(within(dialog).getByRole("button", { name: "Put into maintenance" }));
    await within(dialog).findAllByText(/done/);
    expect(calls.findLast((call) => call.method === "POST" && call.query.get("dry_run") !== "true")?.body).toEqual({
      workers: ["a", "b"],
      comment: "new disk",
    });
  });

  it("can be meant for all that fit, on whatever page", async () => {
    const calls = await fleet({ workers: [{ name: "a" }, { name: "b" }], total: 4210 });
    show("/?load=full");
    await userEvent.click(await screen.findByRole("checkbox", { name: "Choose all on this page" }));
    await userEvent.click(screen.getByRole("button", { name: "Choose all 4,210 that fit" }));
    await userEvent.click(screen.getByRole("button", { name: "Put into maintenance…" }));
    await screen.findByRole("dialog", { name: "Put 4,210 workers into maintenance" });
    await waitFor(() =>
      expect(calls.find((call) => call.method === "POST")?.body).toMatchObject({ match: { load: ["full"] } }),
    );
  });

  it("tells what came of removing the last ones, and teaches only then", async () => {
    let left = 1;
    await serve(({ method, path, query }) => {
      const workers = { ...anOverview().workers, total: left, revoked: 0 };
      if (path === "/overview") return { body: anOverview({ workers }) };
      if (path === "/permissions") return { body: MAY };
      if (path === "/workers") {
        return { body: { items: left ? [aWorker({ link: "offline", stance: "away" })] : [], total: left } };
      }
      if (method !== "POST") return undefined;
      const dry = query.get("dry_run") === "true";
      if (!dry) left = 0;
      const detail = dry ? "it is forgotten" : "forgotten";
      return { body: [{ worker: "site-1", result: dry ? "would" : "done", detail, order_id: null }] };
    });
    show();
    await userEvent.click(await screen.findByRole("checkbox", { name: "Choose site-1" }));
    await userEvent.click(screen.getByRole("button", { name: /More actions/ }));
    await userEvent.click(await screen.findByRole("menuitem", { name: "Remove…" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Remove site-1" });
    await within(dialog).findByText(/it is forgotten/);
    await userEvent.click(within(dialog).getByRole("button", { name: "Remove" }));
    await within(dialog).findByText(/done, forgotten/);
    await screen.findByText("No worker fits");
    expect(within(dialog).getByText(/done, forgotten/)).toBeTruthy();
    expect(screen.queryByText("No worker yet")).toBeNull();
    await userEvent.click(within(dialog).getAllByRole("button", { name: "Close" })[0] as HTMLElement);
    await screen.findByText("No worker yet");
  });

  it("is not offered to whom it is refused", async () => {
    await fleet({ may: false });
    show();
    await screen.findByRole("link", { name: "site-1" });
    expect(screen.queryByRole("checkbox")).toBeNull();
    expect(screen.queryByRole("region", { name: "Chosen workers" })).toBeNull();
  });
});

it("finds the workers that serve a queue", async () => {
  const asked = await fleet();
  const { address } = show();
  await userEvent.type(await screen.findByLabelText("Queue"), "lathe");
  await waitFor(() => expect(asked.findLast(({ path }) => path === "/workers")?.query.get("queue")).toBe("lathe"));
  expect(address()).toBe("?queue=lathe");
});
