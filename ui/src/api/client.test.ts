import { expect, test } from "vitest";
import { serve } from "../../build/testing.tsx";
import { Api, api, Problem } from "./client.ts";

const WORKERS = { items: [{ name: "press-7" }], total: 1 };

test("what has not changed is not sent again, and is the very same object", async () => {
  const asked = await serve(({ headers }) =>
    headers["if-none-match"] === '"a"' ? { status: 304 } : { headers: { ETag: '"a"' }, body: WORKERS },
  );
  const first = await api.get("/workers", { query: { limit: 10 } });
  const second = await api.get("/workers", { query: { limit: 10 } });
  expect(first.total).toBe(1);
  expect(second).toBe(first);
  expect(asked.map(({ headers }) => headers["if-none-match"])).toEqual([undefined, '"a"']);
});

test("each question has an ETag of its own", async () => {
  const asked = await serve(() => ({ headers: { ETag: '"a"' }, body: WORKERS }));
  await api.get("/workers", { query: { limit: 10 } });
  await api.get("/workers", { query: { limit: 20 } });
  expect(asked[1]?.headers["if-none-match"]).toBeUndefined();
});

test("a name goes into the path and lists are repeated, whatever is in them", () => {
  const there = new Api("https://airflow.example.org/sub/edge_worker/api/");
  const query = { state: ["idle", "running"], queue: undefined, search: "a&b" };
  expect(there.url("/workers/{name}/log", { path: { name: "a/b ü" }, query })).toBe(
    "https://airflow.example.org/sub/edge_worker/api/workers/a%2Fb%20%C3%BC/log?state=idle&state=running&search=a%26b",
  );
});

test("a problem document becomes an error with its words", async () => {
  await serve(() => ({
    status: 403,
    headers: { "Content-Type": "application/problem+json" },
    body: {
      status: 403,
      code: "forbidden",
      title: "Forbidden",
      detail: "You need the permission to edit edge workers.",
    },
  }));
  const problem = await api.post("/workers/revoke", { workers: ["press-7"] }).catch((error: Problem) => error);
  expect(problem).toBeInstanceOf(Problem);
  expect(problem).toMatchObject({
    status: 403,
    code: "forbidden",
    message: "You need the permission to edit edge workers.",
  });
});

test("an answer that is not the API's is said to be one", async () => {
  await serve(() => ({ status: 502, headers: { "Content-Type": "text/html" }, body: "Bad gateway" }));
  await expect(api.get("/queues")).rejects.toThrow(/proxy/);
});

test("no answer at all is a problem with words too", async () => {
  const nobody = new Api("http://127.0.0.1:9/");
  await expect(nobody.get("/queues")).rejects.toMatchObject({ status: 0, code: "unreachable" });
});

test("what is posted is what was given", async () => {
  const asked = await serve(() => ({ body: [] }));
  await api.post("/workers/revoke", { workers: ["press-7"] }, { query: { dry_run: true } });
  expect(asked).toMatchObject([{ method: "POST", path: "/workers/revoke", body: { workers: ["press-7"] } }]);
  expect(asked[0]?.query.get("dry_run")).toBe("true");
});

test("each request has an end, and says so; who leaves before is told nothing", async () => {
  await serve(() => "never");
  const hasty = new Api(api.base, undefined, { read: 50, change: 50 });
  await expect(hasty.get("/queues")).rejects.toMatchObject({ status: 0, code: "too_late" });
  await expect(hasty.post("/workers/revoke", { workers: ["a"] })).rejects.toThrow(/has not answered within 1 second/);
  const left = new AbortController();
  const asked = new Api(api.base).get("/queues", {}, left.signal);
  left.abort();
  await expect(asked).rejects.toMatchObject({ name: "AbortError" });
});

test("an answer that never ends is given up, too", async () => {
  const half = async (_: unknown, init?: RequestInit) =>
    new Response(
      new ReadableStream({
        start: (body) => init?.signal?.addEventListener("abort", () => body.error(new DOMException("", "AbortError"))),
      }),
    );
  await expect(new Api(api.base, half as typeof fetch, { read: 50, change: 50 }).get("/queues")).rejects.toMatchObject({
    code: "too_late",
  });
});

test.each([
  [401, {}],
  [302, { Location: "https://login.example.org/" }],
  [307, { Location: "/auth/login" }],
])("an answer of %d means that one is logged out, and is not followed", async (status, headers) => {
  const asked = await serve(() => ({ status, headers, body: {} }));
  await expect(api.get("/queues")).rejects.toMatchObject({ status: 401, code: "logged_out" });
  expect(asked).toHaveLength(1);
});

test("what a browser makes of a redirect that is not to be followed means the same", async () => {
  const redirect = Object.defineProperty(Response.error(), "type", { value: "opaqueredirect" });
  const led = new Api(api.base, async () => redirect);
  await expect(led.get("/queues")).rejects.toMatchObject({ code: "logged_out" });
});
