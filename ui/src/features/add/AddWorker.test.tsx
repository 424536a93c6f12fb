import { screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { answering, MAY, Refusal, reading, show } from "../testing.tsx";
import { AddWorker } from "./AddWorker.tsx";

const NONE = { items: [], total: 0 };
const TOKEN = {
  id: "11111111-1111-4111-8111-111111111111",
  state: "valid",
  queues: ["lathe"],
  team: null,
  name_pattern: null,
  disconnect_grace: null,
  uses: 1,
  uses_left: 1,
  expires_at: "2099-11-29T13:00:00Z",
  created_at: "2099-11-29T12:00:00Z",
  created_by: "ada",
};
const MADE = {
  ...TOKEN,
  token: "edge_secret",
  command: "airflow-edge enroll https://here edge_secret",
  commands: {
    pip: "pip install …\nairflow-edge enroll https://here edge_secret",
    systemd: "systemctl enable --now airflow-edge",
  },
};
const QUIET = {
  "GET /queues": NONE,
  "GET /enroll-tokens": [],
  "POST /enroll-tokens": MADE,
  "GET /workers": NONE,
  "GET /enroll-attempts": [],
};
const NEWCOMER = {
  name: "press-9",
  link: "linked",
  concurrency: 4,
  queues: ["lathe"],
  enrolled_at: "2099-11-29T12:00:20Z",
  attention: [],
};
const CAME = { at: NEWCOMER.enrolled_at, name: "press-9", token_id: TOKEN.id, result: "enrolled", text: "" };

const view = (at = "add") => show(<AddWorker />, at, "add");
/** A command that begins so: each of its words is an element. */
const command = (begins: string) => (_: string, element: Element | null) =>
  element?.tagName === "CODE" && element.textContent.startsWith(begins);
const user = userEvent.setup({ delay: null });
const make = async () => user.click(await screen.findByRole("button", { name: "Make the token" }));

test("from what it is for to the commands, the queue that led here already chosen", async () => {
  const queue = { team_name: null, queue: "oven", queued: 3, workers: 0 };
  const asked = await answering({ ...QUIET, "GET /queues": { items: [queue], total: 1 } });
  view("add?queues=lathe");
  await user.click(await screen.findByRole("button", { name: /oven: 3, nobody serves it/ }));
  expect(screen.getByLabelText("Queues")).toHaveProperty("value", "lathe, oven");
  await make();
  expect(await screen.findByText(command("pip install"))).toBeDefined();
  expect(asked.find(({ method }) => method === "POST")?.body).toMatchObject({
    queues: ["lathe", "oven"],
    uses: 1,
    seconds: 3600,
  });
  await user.click(screen.getByRole("tab", { name: /systemd/ }));
  expect(await screen.findByText(command("systemctl enable --now airflow-edge"))).toBeDefined();
  expect(screen.getByText("Waiting for the worker…")).toBeDefined();
});

test("a wish that is refused can be changed and made again", async () => {
  await answering({
    ...QUIET,
    "POST /enroll-tokens": new Refusal(422, "There is no team 'north'; see: airflow teams list"),
  });
  view("add?queues=lathe");
  await make();
  expect(await screen.findByText(/There is no team 'north'/)).toBeDefined();
  expect(screen.getByLabelText("Queues")).toHaveProperty("value", "lathe");
});

test("the worker is greeted when it has come", async () => {
  await answering({
    ...QUIET,
    "GET /workers": { items: [NEWCOMER, { ...NEWCOMER, name: "somebody else" }], total: 2 },
    "GET /enroll-attempts": [CAME],
  });
  view();
  await make();
  expect(await screen.findByText(reading("Welcome, press-9"))).toBeDefined();
  expect(screen.getAllByText("press-9").map(({ tagName }) => tagName)).toEqual(["BDI", "BDI"]);
  expect(screen.queryByText("Waiting for the worker…")).toBeNull();
  expect(screen.queryByText(reading("Welcome, somebody else"))).toBeNull();
  expect(screen.getByRole("link", { name: "Look at press-9" }).getAttribute("href")).toBe(
    "/plugin/edge/workers/press-9",
  );
});

test.each([
  ["valid", 12, "288 of 300 have enrolled; waiting for the others."],
  ["expired", 12, "288 of 300 have enrolled. The token is expired: nobody else can enrol with it."],
])("of many workers those are waited for that the token is still good for: %s", async (state, uses_left, text) => {
  const many = { uses: 300, uses_left: 300 };
  await answering({
    ...QUIET,
    "POST /enroll-tokens": { ...MADE, ...many },
    "GET /enroll-tokens": [{ ...TOKEN, ...many, state, uses_left }],
    "GET /workers": { items: [NEWCOMER], total: 300 },
    "GET /enroll-attempts": [CAME],
  });
  view();
  await make();
  expect(await screen.findByText(text)).toBeDefined();
  expect(screen.getByText("288 of 300")).toBeDefined();
});

test("nobody is waited for once a token of many uses is used up, though few of them are listed", async () => {
  const many = { uses: 300, uses_left: 300 };
  await answering({
    ...QUIET,
    "POST /enroll-tokens": { ...MADE, ...many },
    "GET /enroll-tokens": [{ ...TOKEN, ...many, state: "used up", uses_left: 0 }],
    "GET /workers": { items: [NEWCOMER], total: 300 },
    "GET /enroll-attempts": [CAME],
  });
  view();
  await make();
  expect(await screen.findByText(reading("Welcome, press-9"))).toBeDefined();
  expect(await screen.findByText("300 of 300")).toBeDefined();
  expect(screen.queryByText(/waiting for/i)).toBeNull();
});

test("whoever has come and takes no job is not greeted as if all were well", async () => {
  const why = "no task can run here: the Dags folder ~/airflow/dags is not there";
  const remark = { kind: "held back", severity: "warning", sentence: "takes no job", why, advice: "", command: null };
  await answering({
    ...QUIET,
    "GET /workers": { items: [{ ...NEWCOMER, attention: [remark] }], total: 1 },
    "GET /enroll-attempts": [CAME],
  });
  view();
  await make();
  expect(await screen.findByText("But it takes no job.")).toBeDefined();
  expect(screen.getByText(/the Dags folder .* is not there/)).toBeDefined();
});

const TEST_JOB = {
  id: "22222222-2222-4222-8222-222222222222",
  kind: "test",
  state: "running",
  reason: "",
  journey: [
    { at: NEWCOMER.enrolled_at, event: "queued", text: "for worker 'press-9'", worker: null, assignment: null },
  ],
  explanation: { cause: "running", sentence: "It runs on worker 'press-9' since then." },
  log: [],
};
const ENDED = { ...TEST_JOB, state: "succeeded", explanation: null, log: ["12:00:01 INFO Python 3.11.9 on Linux"] };
const GREETED = {
  ...QUIET,
  "GET /workers": { items: [NEWCOMER], total: 1 },
  "GET /enroll-attempts": [CAME],
};
const WAITING = { worker: "press-9", result: "waiting", detail: "", order_id: null, job_id: TEST_JOB.id };

test("a test job is seen to go there and back, with what it found there", async () => {
  let looked = 0;
  await answering({
    ...GREETED,
    "POST /workers/press-9/test": [WAITING],
    [`GET /jobs/${TEST_JOB.id}`]: () => (looked++ ? ENDED : TEST_JOB),
  });
  view();
  await make();
  await user.click(await screen.findByRole("button", { name: "Run a test job there" }));
  expect(await screen.findByText("The test job is on its way")).toBeDefined();
  expect(screen.getByText("It runs on worker 'press-9' since then.")).toBeDefined();
  expect(await screen.findByText("The test job went there and back", {}, { timeout: 5000 })).toBeDefined();
  expect(screen.getByText("12:00:01 INFO Python 3.11.9 on Linux")).toBeDefined();
  expect(screen.getByRole("link", { name: "Look at the job" }).getAttribute("href")).toBe(
    `/plugin/edge/jobs/${TEST_JOB.id}`,
  );
  expect(screen.getByRole("button", { name: "Run another test job" })).toBeDefined();
});

test("a test job that is refused or ends badly says why", async () => {
  const refused = { ...WAITING, result: "refused", detail: "it is in maintenance: take it out first", job_id: null };
  const answers = [[refused], [WAITING]];
  await answering({
    ...GREETED,
    "POST /workers/press-9/test": () => answers.shift(),
    [`GET /jobs/${TEST_JOB.id}`]: { ...ENDED, state: "failed", reason: "no module 'x'" },
  });
  view();
  await make();
  await user.click(await screen.findByRole("button", { name: "Run a test job there" }));
  expect(await screen.findByText(/it is in maintenance: take it out first/)).toBeDefined();
  await user.click(screen.getByRole("button", { name: "Run another test job" }));
  expect(await screen.findByText("The test job did not end well")).toBeDefined();
  expect(screen.getByText("no module 'x'")).toBeDefined();
});

test("what was refused is told at once, with the check to run at the site", async () => {
  const refused = { ...CAME, token_id: null, result: "refused", text: "The token is not known." };
  await answering({ ...QUIET, "GET /enroll-attempts": [refused] });
  view();
  await make();
  expect(await screen.findByText("Somebody tried, and was refused")).toBeDefined();
  expect(screen.getByText(/The token is not known/)).toBeDefined();
  expect(screen.getByText(command("airflow-edge check --url "))).toBeDefined();
});

test("of many refusals the newest five are told, and how many more there are", async () => {
  const refused = Array.from({ length: 8 }, (_, number) => ({
    at: `2099-11-29T12:0${number}:00Z`,
    name: `press-${number}`,
    token_id: TOKEN.id,
    result: "refused",
    text: "used up",
  }));
  await answering({ ...QUIET, "GET /enroll-attempts": refused });
  view();
  await make();
  const told = (await screen.findByText("Somebody tried, and was refused")).parentElement?.querySelectorAll("li") ?? [];
  expect([...told].map(({ textContent }) => textContent?.split(",")[0])).toEqual([
    "press-7",
    "press-6",
    "press-5",
    "press-4",
    "press-3",
    "and 3 more",
  ]);
});

test("when nothing comes for a minute it says what that means", async () => {
  await answering({ ...QUIET, "POST /enroll-tokens": { ...MADE, created_at: "2020-11-29T12:00:00Z" } });
  view();
  await make();
  expect(await screen.findByText(/^Nothing has come yet/)).toBeDefined();
  expect(await screen.findByText(/has seen no attempt/)).toBeDefined();
});

test("a token is revoked after it was said what is lost", async () => {
  let state = "valid";
  const asked = await answering({
    ...QUIET,
    "GET /enroll-tokens": () => [{ ...TOKEN, state }],
    [`POST /enroll-tokens/${TOKEN.id}/revoke`]: () => {
      state = "revoked";
      return { ...TOKEN, state };
    },
  });
  view();
  expect(await screen.findByText("Never used")).toBeDefined();
  await user.click(await screen.findByRole("button", { name: "Revoke the token for lathe" }));
  const dialog = within(await screen.findByRole("alertdialog"));
  expect(dialog.getByText(/its last use is lost/)).toBeDefined();
  await user.click(dialog.getByRole("button", { name: "Revoke the token" }));
  expect(await screen.findByText("Revoked")).toBeDefined();
  await waitFor(() => expect(screen.queryByRole("alertdialog")).toBeNull());
  expect(asked.some(({ path }) => path === `/enroll-tokens/${TOKEN.id}/revoke`)).toBe(true);
  expect(screen.queryByRole("button", { name: /^Revoke/ })).toBeNull();
});

test("the centre is checked on request, what is wrong first", async () => {
  await answering({
    ...QUIET,
    "GET /check": {
      findings: [
        { name: "a", status: "ok", text: "The gateway answers", advice: "" },
        { name: "b", status: "error", text: "[edge] api_enabled is not set", advice: "Set it to True." },
      ],
    },
  });
  view();
  await user.click(await screen.findByRole("button", { name: "Check" }));
  expect(await screen.findByText("Set it to True.")).toBeDefined();
  const lines = screen.getAllByRole("listitem").map((item) => item.textContent);
  expect(lines).toEqual([expect.stringMatching(/^Wrong/), expect.stringMatching(/^OK/)]);
});

test("who may not change workers is told which permission is missing, and asked for nothing", async () => {
  const asked = await answering({ "GET /permissions": { ...MAY, change: false, missing: "to edit pools" } });
  view();
  expect(await screen.findByText(/to edit pools/)).toBeDefined();
  expect(asked.map(({ path }) => path)).toEqual(["/permissions"]);
});
