/** What can be done with workers: its words, what has to be said with it, and the route that does it. */
import { BOUNDS } from "../../api/bounds.ts";
import type { Writable } from "../../api/client.ts";
import type { FieldOf, Values } from "../../ui/fields.tsx";
import type { WorkerDocument } from "../fleet/documents.ts";
import { number } from "../fleet/facts.ts";
import type { Target } from "../fleet/selection.ts";

type FieldName = "comment" | "until" | "slots" | "queues" | "grace" | "name";

export type Act = {
  id: string;
  /** As a button says it. */
  label: string;
  /** The same with its object: "Put 3 workers into maintenance". */
  title: (whom: string) => string;
  /** What it does, for those who have never done it. */
  lead: string;
  path: string;
  fields: readonly FieldName[];
  /** Something is lost, or does not come back by itself. */
  danger?: true;
  /** Only for one at a time. */
  single?: true;
  /** Whether it makes sense for this worker. The server has the last word. */
  offered: (worker: WorkerDocument) => boolean;
};

const alive = (worker: WorkerDocument) => worker.link === "linked" || worker.link === "out of reach";
const kept = (worker: WorkerDocument) => worker.link !== "revoked";
const inMaintenance = (worker: WorkerDocument) => worker.stance === "maintenance";

export const ACTS: readonly Act[] = [
  {
    id: "maintenance",
    label: "Put into maintenance",
    title: (whom) => `Put ${whom} into maintenance`,
    lead: "No new task is given out. Tasks that run there go on to their end.",
    path: "/workers/maintenance",
    fields: ["comment", "until"],
    offered: (worker) => kept(worker) && !inMaintenance(worker),
  },
  {
    id: "exit",
    label: "End maintenance",
    title: (whom) => `End maintenance of ${whom}`,
    lead: "Tasks are given out again at once, those that wait among them. Whoever works on these machines should be done.",
    path: "/workers/maintenance/exit",
    fields: [],
    offered: (worker) => kept(worker) && inMaintenance(worker),
  },
  {
    id: "comment",
    label: "Change the comment",
    title: (whom) => `Change the comment on the maintenance of ${whom}`,
    lead: "Only the words change.",
    path: "/workers/maintenance/comment",
    fields: ["comment"],
    offered: (worker) => kept(worker) && inMaintenance(worker),
  },
  {
    id: "restart",
    label: "Restart the agent",
    title: (whom) => `Restart the agent of ${whom}`,
    lead: "A new agent takes the place of the old one, with what is installed now. Tasks go on meanwhile.",
    path: "/workers/restart",
    fields: [],
    offered: alive,
  },
  {
    id: "test",
    label: "Run a test job",
    title: (whom) => `Run a test job on ${whom}`,
    lead: "A small job goes there and back, as each task does. It only says what tasks would find there, and changes nothing.",
    path: "/workers/{name}/test",
    fields: [],
    single: true,
    offered: alive,
  },
  {
    id: "slots",
    label: "Set slots",
    title: (whom) => `Set the slots of ${whom}`,
    lead: "How many slots there are for tasks. With fewer than are taken, running tasks go on and no new one comes until there is room.",
    path: "/workers/concurrency",
    fields: ["slots"],
    offered: kept,
  },
  {
    id: "add-queues",
    label: "Add queues",
    title: (whom) => `Have ${whom} serve more queues`,
    lead: "Tasks of these queues are given out there too, from now on.",
    path: "/workers/queues/add",
    fields: ["queues"],
    offered: kept,
  },
  {
    id: "remove-queues",
    label: "Remove queues",
    title: (whom) => `Take queues from ${whom}`,
    lead: "No new task of these queues is given out there. Those that run go on to their end.",
    path: "/workers/queues/remove",
    fields: ["queues"],
    offered: kept,
  },
  {
    id: "grace",
    label: "Set disconnect grace",
    title: (whom) => `Set the disconnect grace of ${whom}`,
    lead: "For how long tasks are waited for while a worker is out of reach, before they count as lost.",
    path: "/workers/disconnect-grace",
    fields: ["grace"],
    offered: kept,
  },
  {
    id: "rename",
    label: "Rename",
    title: (whom) => `Rename ${whom}`,
    lead: "The key and the tasks stay. Links with the old name lead nowhere.",
    path: "/workers/rename",
    fields: ["name"],
    single: true,
    offered: kept,
  },
  {
    id: "shutdown",
    label: "Drain and shut down",
    title: (whom) => `Drain ${whom} and shut down`,
    lead: "No new task is given out, those that run go on to their end, then the worker ends. Only somebody at its site can start it again.",
    path: "/workers/shutdown",
    fields: [],
    danger: true,
    offered: alive,
  },
  {
    id: "revoke",
    label: "Revoke",
    title: (whom) => `Revoke ${whom}`,
    lead: "The key is refused from now on: the link is cut at once, and tasks that run there are lost. To come back, the worker has to be enrolled anew.",
    path: "/workers/revoke",
    fields: [],
    danger: true,
    offered: kept,
  },
  {
    id: "remove",
    label: "Remove",
    title: (whom) => `Remove ${whom}`,
    lead: "Forgotten with its events and charts; its tasks' logs stay. Only what is offline or revoked can be removed.",
    path: "/workers/remove",
    fields: [],
    danger: true,
    offered: (worker) => !alive(worker),
  },
];

/** Name whom an action is for: `site-1`, `3 workers`. */
export function whomOf(target: Target, count: number): string {
  if ("workers" in target && target.workers.length === 1) return target.workers[0] ?? "";
  return `${number(count)} ${count === 1 ? "worker" : "workers"}`;
}

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
const DURATION = /^(\d+(?:\.\d+)?)\s*([smhd]?)$/;
const MAX_GRACE = 3650 * SECONDS.d;

/** Read `90`, `30m` or `2h`, in seconds; undefined for what is none. */
export function readDuration(said: string): number | undefined {
  const found = DURATION.exec(said.trim().toLowerCase());
  if (!found) return undefined;
  const seconds = Number(found[1]) * SECONDS[(found[2] || "s") as keyof typeof SECONDS];
  return seconds <= MAX_GRACE ? seconds : undefined;
}

/** Give the queues somebody has typed, with commas or lines between them. */
export function readQueues(said: string): string[] {
  return [...new Set(said.split(/[,\n]/).map((one) => one.trim()))].filter(Boolean);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,199}$/;

/** Give what has to be said with an act; what it is for one worker now stands there at first. */
export function fieldsOf(act: Act, worker?: WorkerDocument): FieldOf[] {
  return act.fields.map((name) => fieldOf(name, act, worker));
}

function fieldOf(name: FieldName, act: Act, worker: WorkerDocument | undefined): FieldOf {
  switch (name) {
    case "comment":
      return {
        name,
        kind: "comment",
        label: "Comment",
        help: "Why, for everybody who wonders. It stands beside the worker.",
        required: true,
        initial: act.id === "comment" ? (worker?.maintenance_comment ?? "") : "",
      };
    case "until":
      return { name, kind: "until", label: "How long", help: "At its end tasks are given out again by themselves." };
    case "slots":
      return {
        name,
        kind: "number",
        label: "Slots",
        required: true,
        ...BOUNDS.slots,
        ...(worker && { initial: worker.concurrency }),
        wrong: (typed) =>
          /^[1-9]\d{0,5}$/.test(typed) && Number(typed) <= 100_000 ? undefined : "A whole number from 1 to 100,000.",
      };
    case "queues":
      return {
        name,
        kind: "text",
        label: "Queues",
        help: "With commas between them.",
        required: true,
        wrong: (typed) => (readQueues(typed).length ? undefined : "At least one queue."),
      };
    case "grace":
      return {
        name,
        kind: "text",
        label: "Disconnect grace",
        help: "Such as 30m or 2h. With nothing, what the settings say holds again.",
        initial: worker?.disconnect_grace ? `${worker.disconnect_grace}s` : "",
        wrong: (typed) => (readDuration(typed) === undefined ? "A time such as 90s, 30m, 2h or 1d." : undefined),
      };
    case "name":
      return {
        name,
        kind: "text",
        label: "New name",
        required: true,
        initial: worker?.name ?? "",
        wrong: (typed) =>
          NAME.test(typed)
            ? undefined
            : "It begins with a letter or digit and has up to 200 letters, digits and . _ @ -",
      };
  }
}

/** Give the body that does it, or that asks what would be done: then there may be no comment yet. */
export function bodyOf(act: Act, target: Target, values: Values): Record<string, unknown> {
  const said = (name: FieldName) => String(values[name] ?? "").trim();
  if (act.id === "rename") return { worker: "workers" in target ? target.workers[0] : "", name: said("name") };
  if (act.id === "test") return {};
  const body: Record<string, unknown> = { ...target };
  for (const field of act.fields) {
    if (field === "comment") body.comment = said("comment") || "?";
    if (field === "until" && values.until) body.until = values.until;
    if (field === "slots") body.concurrency = Number(said("slots"));
    if (field === "queues") body.queues = readQueues(said("queues"));
    if (field === "grace") body.seconds = said("grace") ? readDuration(said("grace")) : null;
  }
  return body;
}

/** The route, for the client that knows all of them by their names. */
export function routeOf(act: Act): Writable {
  return act.path as Writable;
}
