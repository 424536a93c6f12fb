import { expect, test } from "vitest";
import { bytes, count, duration, exact, relative } from "./words.ts";

test.each([
  [0, "0 s"],
  [59_999, "59 s"],
  [60_000, "1 min"],
  [3_600_000 + 5 * 60_000, "1 h 5 min"],
  [12 * 3_600_000 + 5 * 60_000, "12 h"],
  [26 * 3_600_000, "1 d 2 h"],
  [40 * 86_400_000, "40 d"],
  [-5, "0 s"],
])("a duration of %d ms is %s", (milliseconds, said) => expect(duration(milliseconds)).toBe(said));

test("a time is said beside now", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  expect(relative(now - 3000, now)).toBe("just now");
  expect(relative(now - 180_000, now)).toBe("3 min ago");
  expect(relative(now + 7_200_000, now)).toBe("in 2 h");
  expect(relative(now + 30 * 60_000 - 3000, now)).toBe("in 30 min");
  expect(exact(now, "UTC")).toBe("2026-11-29 12:00:00 UTC");
  expect(exact(now, "Europe/Berlin")).toMatch(/0?1:00:00.*Europe\/Berlin \(2026-11-29 12:00:00 UTC\)|13:00:00.*Berlin/);
});

test("amounts", () => {
  expect(bytes(999)).toBe("999 B");
  expect(bytes(1_400_000_000)).toBe("1.4 GB");
  expect(count(1, "worker")).toBe("1 worker");
  expect(count(4210, "worker")).toBe("4,210 workers");
});
