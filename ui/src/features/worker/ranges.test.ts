import { describe, expect, it } from "vitest";
import { alone, RANGES, rangeOf, sentenceOf, sinceOf } from "./ranges.ts";

const NOW = Date.parse("2026-11-29T12:34:56Z");

describe("a range", () => {
  it.each(RANGES)("of $label is asked for as the API takes it", ({ length, resolution }) => {
    expect(resolution % 60).toBe(0);
    expect(length / resolution).toBeLessThanOrEqual(200);
  });

  it("begins at the same time for a minute, and does not end before now", () => {
    const hour = rangeOf("1h");
    expect(sinceOf(hour, NOW)).toBe("2026-11-29T11:34:00.000Z");
    expect(sinceOf(hour, NOW + 3000)).toBe(sinceOf(hour, NOW));
    expect(sinceOf(hour, NOW + 4000)).toBe("2026-11-29T11:35:00.000Z");
  });

  it("is the shortest where the name is none", () => {
    expect(rangeOf("9y").id).toBe("1h");
  });
});

it("says a line in words", () => {
  const percent = (value: number) => `${value} %`;
  expect(sentenceOf("CPU", [null, 20, 60, 40, null], percent)).toBe("CPU: last 40 %, between 20 % and 60 %");
  expect(sentenceOf("CPU", [null], percent)).toBe("CPU: nothing was measured");
});

it("finds the values that no line goes through", () => {
  expect(alone([1, null, 2, 3, null, 4])).toEqual([0, 5]);
  expect(alone([null])).toEqual([]);
});
