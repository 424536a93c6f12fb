import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { answering, MAY, Refusal, show } from "../testing.tsx";
import { Policy } from "./Policy.tsx";

const NOBODY = { teams: [], queues: [], workers: [], dags: [], tasks: [] };
const PRESS = { note: "its own PLC", who: { ...NOBODY, dags: ["press_*"] }, may: { connections: ["plc_*"] } };
const OVEN = { note: "", who: NOBODY, may: { xcoms: ["@run"] } };
const NONE = {
  version: 0,
  text: "",
  note: "",
  by: "",
  at: null,
  file: null,
  error: "",
  modes: {},
  rules: 0,
  granting: [],
};
const FIRST = {
  ...NONE,
  version: 1,
  text: "rules: [press]",
  note: "why",
  by: "ada",
  at: "2026-11-29T12:00:00Z",
  modes: { plc: "report" },
  rules: 1,
  granting: [PRESS],
};
const VERSION = { version: 1, note: "why", by: "ada", at: FIRST.at };
const DENIAL = {
  team_name: "",
  queue: "plc",
  dag_id: "payroll",
  task_id: "read",
  kind: "variables",
  name: "<b>salaries</b>",
  allowed: 0,
  denied: 41,
  last_day: "2026-11-29",
};
const WOULD = { result: "would", version: null, modes: { plc: "enforce" }, rules: 1, granting: [OVEN] };
const QUIET = { "GET /policy": FIRST, "GET /policy/uses": [], "GET /policy/versions": [VERSION] };

const user = userEvent.setup({ delay: null });
const view = () => show(<Policy />, "policy", "policy");
const text = () => screen.getByLabelText<HTMLTextAreaElement>(/The policy, as YAML/);

test("without one it says what that means, and offers to write the first", async () => {
  const asked = await answering({
    ...QUIET,
    "GET /policy": NONE,
    "GET /policy/versions": [],
    "POST /policy": WOULD,
  });
  view();
  expect(await screen.findByText("No policy is in force")).toBeDefined();
  expect(screen.getByRole("link", { name: /how it is written/ }).getAttribute("href")).toMatch(/docs#\/Policy$/);
  await user.click(screen.getByRole("button", { name: "Write one…" }));
  await user.click(text());
  await user.paste("modes: x");
  await user.click(screen.getByRole("button", { name: "Set…" }));
  const dialog = within(await screen.findByRole("dialog"));
  await user.click(dialog.getByRole("button", { name: "Set the policy" }));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(
    asked.filter(({ method }) => method === "POST").map(({ body, query }) => [query.get("dry_run"), body]),
  ).toEqual([
    ["true", { text: "modes: x", note: "" }],
    [null, { text: "modes: x", note: "", after: 0 }],
  ]);
});

test("it shows what is in force, who has set it, and what was denied; foreign words are words", async () => {
  await answering({ ...QUIET, "GET /policy/uses": [DENIAL] });
  view();
  expect(await screen.findByRole("heading", { name: "Version 1" })).toBeDefined();
  expect(screen.getByRole("list", { name: "Modes" }).textContent).toMatch(/^Queue plc report/);
  const row = within(screen.getByRole("table", { name: "Rules" }))
    .getAllByRole("row")
    .at(-1);
  expect(row?.textContent).toBe("1Dag press_*connections plc_*its own PLC");
  const denied = await screen.findByText("<b>salaries</b>");
  expect(denied.tagName).toBe("BDI");
  expect(screen.getByText("41")).toBeDefined();
  const versions = within(await screen.findByRole("table", { name: "Versions" }));
  expect(versions.getByText("ada").tagName).toBe("BDI");
});

test("it is set after what it changes was read, with the version that it was made from", async () => {
  const asked = await answering({
    ...QUIET,
    "POST /policy": ({ query }: { query: URLSearchParams }) =>
      query.has("dry_run") ? WOULD : { ...WOULD, result: "done", version: 2 },
  });
  view();
  await user.click(await screen.findByRole("button", { name: "Change it…" }));
  expect(text().value).toBe("rules: [press]");
  await user.clear(text());
  await user.click(text());
  await user.paste("rules: [oven]");
  await user.click(screen.getByRole("button", { name: "Set…" }));
  const dialog = within(await screen.findByRole("dialog"));
  expect(dialog.getByRole("list", { name: "Modes that change" }).textContent).toBe("Queue plc: report → enforce");
  expect(dialog.getByRole("list", { name: "1 rule grants more" }).textContent).toBe("every task: xcoms @run");
  expect(dialog.getByRole("list", { name: "1 rule is gone" }).textContent).toBe("Dag press_*: connections plc_*");
  await user.type(dialog.getByLabelText("Note"), "the oven, too");
  await user.click(dialog.getByRole("button", { name: "Set the policy" }));
  await waitFor(() => expect(screen.queryByLabelText(/The policy, as YAML/)).toBeNull());
  expect(asked.filter(({ method }) => method === "POST").at(-1)?.body).toEqual({
    text: "rules: [oven]",
    note: "the oven, too",
    after: 1,
  });
});

test("what is wrong with the text stands below it, with the place", async () => {
  await answering({
    ...QUIET,
    "POST /policy": new Refusal(422, "The policy is not one: Invalid value 'x' - at `$.modes[...]`."),
  });
  view();
  await user.click(await screen.findByRole("button", { name: "Change it…" }));
  await user.click(screen.getByRole("button", { name: "Set…" }));
  expect((await screen.findByRole("alert")).textContent).toContain("at `$.modes[...]`");
  expect(text().getAttribute("aria-invalid")).toBe("true");
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("whoever was overtaken is told so, and loses nothing of what was typed", async () => {
  await answering({
    ...QUIET,
    "POST /policy": ({ query }: { query: URLSearchParams }) =>
      query.has("dry_run") ? WOULD : new Refusal(422, "Somebody else has set the policy meanwhile."),
  });
  view();
  await user.click(await screen.findByRole("button", { name: "Change it…" }));
  await user.type(text(), "!");
  await user.click(screen.getByRole("button", { name: "Set…" }));
  const dialog = within(await screen.findByRole("dialog"));
  await user.click(dialog.getByRole("button", { name: "Set the policy" }));
  expect((await dialog.findByRole("alert")).textContent).toContain("Somebody else has set the policy meanwhile");
  await user.click(dialog.getByRole("button", { name: "Cancel" }));
  expect(text().value).toBe("rules: [press]!");
});

test("a suggestion and a former version come into the editor", async () => {
  await answering({
    ...QUIET,
    "GET /policy/suggest": { text: "rules: [least]", uses: 3, unknown: [], left_out: 0 },
    "GET /policy/versions/1": { ...FIRST, text: "rules: [former]" },
  });
  view();
  await user.click(await screen.findByRole("button", { name: "Edit version 1" }));
  await waitFor(() => expect(text().value).toBe("rules: [former]"));
  await user.click(screen.getByRole("button", { name: "Fill in a suggestion" }));
  expect(await screen.findByText(/^It was made of 3 uses/)).toBeDefined();
  expect(text().value).toBe("rules: [least]");
  await user.click(screen.getByRole("button", { name: "Discard" }));
  expect(screen.queryByLabelText(/The policy, as YAML/)).toBeNull();
});

test("it can be asked who may what", async () => {
  const sentence = "Task press.read on queue plc may not read connection 'db'.";
  const asked = await answering({
    ...QUIET,
    "GET /policy/test": { granted: false, mode: "enforce", rules: [], sentence },
  });
  view();
  const form = within(await screen.findByRole("region", { name: "Who may what" }));
  await user.type(form.getByLabelText(/Its name/), "db");
  await user.type(form.getByLabelText(/^Dag/), "press");
  await user.type(form.getByLabelText("Queue"), "plc");
  await user.click(form.getByRole("button", { name: "Ask" }));
  await waitFor(() => expect(form.getByRole("status").textContent).toBe(sentence));
  expect(String(asked.at(-1)?.query)).toBe("grant=connections&name=db&dag_id=press&queue=plc");
});

test("one from a file is only shown, with where it is kept and why it is not in force", async () => {
  await answering({
    ...QUIET,
    "GET /policy": { ...NONE, file: "/etc/policy.yaml", error: "It cannot be read: no such file." },
  });
  view();
  expect(await screen.findByText("/etc/policy.yaml")).toBeDefined();
  expect(screen.getByRole("alert").textContent).toContain("no such file");
  expect(screen.queryByRole("button", { name: /Change it|Edit|Write/ })).toBeNull();
});

test("who may not change workers is told which permission is missing, and asked for nothing", async () => {
  const asked = await answering({ "GET /permissions": { ...MAY, change: false, missing: "to edit pools" } });
  view();
  expect(await screen.findByText(/to edit pools/)).toBeDefined();
  expect(asked.map(({ path }) => path)).toEqual(["/permissions"]);
});

test("whoever may not see it is told why", async () => {
  await answering({ "GET /policy": new Refusal(403, "It is about all teams, and you do not belong to 'blue'.") });
  view();
  expect(await screen.findByText(/It is about all teams/)).toBeDefined();
});
