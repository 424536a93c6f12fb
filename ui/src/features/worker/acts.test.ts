import { describe, expect, it } from "vitest";
import { aWorker } from "../fleet/examples.ts";
import { ACTS, type Act, bodyOf, fieldsOf, readDuration, readQueues, whomOf } from "./acts.ts";

const act = (id: string) => ACTS.find((one) => one.id === id) as Act;

describe("what is sent", () => {
  const target = { workers: ["a", "b"] };

  it("is a maintenance with its comment and end", () => {
    const until = "2026-11-29T16:00:00.000Z";
    expect(bodyOf(act("maintenance"), target, { comment: " disk ", until })).toEqual({
      ...target,
      comment: "disk",
      until,
    });
  });

  it("has some comment while it is only asked about: none is refused", () => {
    expect(bodyOf(act("maintenance"), target, {})).toEqual({ ...target, comment: "?" });
  });

  it("is a filter for all that fit", () => {
    expect(bodyOf(act("slots"), { match: { queue: "gpu" } }, { slots: 8 })).toEqual({
      match: { queue: "gpu" },
      concurrency: 8,
    });
  });

  it("takes a grace back where nothing is said", () => {
    expect(bodyOf(act("grace"), target, {})).toEqual({ ...target, seconds: null });
    expect(bodyOf(act("grace"), target, { grace: "2h" })).toEqual({ ...target, seconds: 7200 });
  });

  it("says nothing with a test job: its worker stands in the path", () => {
    expect(bodyOf(act("test"), { workers: ["a"] }, {})).toEqual({});
    expect(act("test").path).toBe("/workers/{name}/test");
  });
  it("names the one worker of a rename", () => {
    expect(bodyOf(act("rename"), { workers: ["a"] }, { name: "b" })).toEqual({ worker: "a", name: "b" });
  });
});

describe("what is typed", () => {
  it.each([
    ["90", 90],
    ["30m", 1800],
    [" 1.5 H ", 5400],
    ["2d", 172_800],
    ["", undefined],
    ["soon", undefined],
    ["-3m", undefined],
    ["99999d", undefined],
  ])("%j is %j seconds", (said, seconds) => {
    expect(readDuration(said)).toBe(seconds);
  });

  it("is each queue once", () => {
    expect(readQueues("gpu, cpu,\n gpu,, ")).toEqual(["gpu", "cpu"]);
  });

  it.each([
    ["slots", "0"],
    ["slots", "1.5"],
    ["add-queues", " , "],
    ["grace", "later"],
    ["rename", "-x"],
  ])("is refused in words: %s %j", (id, typed) => {
    const [field] = fieldsOf(act(id));
    expect(field?.wrong?.(typed)).toMatch(/\w+ /);
  });

  it.each([
    ["slots", "8"],
    ["remove-queues", "gpu"],
    ["grace", "90s"],
    ["rename", "site-2.plant"],
  ])("is taken: %s %j", (id, typed) => {
    const [field] = fieldsOf(act(id));
    expect(field?.wrong?.(typed)).toBeUndefined();
  });

  it("begins with what is so now", () => {
    const initial = (id: string) => fieldsOf(act(id), aWorker({ concurrency: 6, disconnect_grace: 90 }))[0];
    expect(initial("slots")).toMatchObject({ initial: 6 });
    expect(initial("grace")).toMatchObject({ initial: "90s" });
    expect(initial("rename")).toMatchObject({ initial: "site-1" });
  });
});

describe("what is offered", () => {
  const offered = (worker: Parameters<typeof aWorker>[0]) =>
    ACTS.filter((one) => one.offered(aWorker(worker))).map((one) => one.id);

  it("is the way into maintenance or out of it, never both", () => {
    expect(offered({ stance: "taking jobs" })).toContain("maintenance");
    expect(offered({ stance: "taking jobs" })).not.toContain("exit");
    expect(offered({ stance: "maintenance" })).toEqual(expect.arrayContaining(["exit", "comment"]));
    expect(offered({ stance: "maintenance" })).not.toContain("maintenance");
  });

  it("is nothing but the removal once the key is revoked", () => {
    expect(offered({ link: "revoked" })).toEqual(["remove"]);
  });

  it("is no removal of who is there", () => {
    expect(offered({ link: "linked" })).not.toContain("remove");
    expect(offered({ link: "offline" })).toContain("remove");
  });
});

it("names whom it is for", () => {
  expect(whomOf({ workers: ["a"] }, 1)).toBe("a");
  expect(whomOf({ match: {} }, 4210)).toBe("4,210 workers");
});
