import { expect, test } from "vitest";
import { headingOf, mendingOf, statusOf } from "./cause.ts";

test.each([
  ["no-worker-for-queue", "Why it waits", "warning"],
  ["workers-full", "Why it waits", "info"],
  ["running", "What it does", "info"],
  ["finished", "What became of it", "info"],
  ["other-executor", "Not with the edge workers", "info"],
  ["a cause of tomorrow", "Why it waits", "info"],
])("%s: %s, as %s", (cause, heading, status) => {
  expect(headingOf(cause)).toBe(heading);
  expect(statusOf(cause)).toBe(status);
});

test("what can be mended from here has its place", () => {
  expect(mendingOf("queue-paused", "a&b")?.to).toBe("/plugin/edge/queues?search=a%26b");
  expect(mendingOf("no-worker-for-queue", "lathe")?.to).toBe("/plugin/edge/add?queues=lathe");
  expect(mendingOf("workers-full", "lathe")).toBeUndefined();
});
