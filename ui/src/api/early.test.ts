import { expect, it } from "vitest";
import { serve } from "../../build/testing.tsx";
import { Api } from "./client.ts";
import { begin, firstOf, taken } from "./early.ts";

it("asks for what the fleet reads first, and for nothing elsewhere", () => {
  const base = "http://host/edge_worker/api/";
  expect(firstOf(base, { pathname: "/team/plugin/edge", search: "" })).toContain(`${base}overview`);
  expect(firstOf(base, { pathname: "/plugin/edge/queues", search: "" })).toEqual([]);
  expect(firstOf(base, { pathname: "/plugin/edge", search: "?link=linked" })).toEqual([]);
});

it("is asked for once, and is what the client begins with", async () => {
  const asked = await serve(() => ({ body: { user: "kim" }, headers: { ETag: '"1"' } }));
  const { api } = await import("./client.ts");
  const url = api.url("/permissions");
  begin([url], (one) => fetch(one));
  expect(await new Api(api.base).get("/permissions")).toEqual({ user: "kim" });
  expect(asked).toHaveLength(1);
  expect(taken(url)).toBeUndefined();
  await new Api(api.base).get("/permissions");
  expect(asked).toHaveLength(2);
});

it("that did not come through is asked for again", async () => {
  const asked = await serve(() => ({ body: { user: "kim" } }));
  const { api } = await import("./client.ts");
  begin([api.url("/permissions")], () => Promise.reject(new TypeError("no network")));
  expect(await new Api(api.base).get("/permissions")).toEqual({ user: "kim" });
  expect(asked).toHaveLength(1);
});
