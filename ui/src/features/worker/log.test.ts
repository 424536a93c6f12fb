import { expect, it } from "vitest";
import { MOST, NOTHING_YET, withMore } from "./log.ts";

const record = (text: string, time = "2026-11-29T12:00:00Z") => ({ time, level: "INFO", source: "agent", text });
const answer = (texts: string[], next: number, lost = 0) => ({
  worker: "a",
  records: texts.map((text) => record(text)),
  lost,
  answers: [],
  next,
});

it("shows each record once, though a site sends its last ones again", () => {
  const shown = withMore(withMore(NOTHING_YET, answer(["a", "b"], 1)), answer(["b", "c"], 2, 4));
  expect(shown.lines.map(({ text }) => text)).toEqual(["a", "b", "c"]);
  expect(shown.next).toBe(2);
  expect(shown.lost).toBe(4);
});

it("is the very same where nothing came", () => {
  const shown = withMore(NOTHING_YET, answer(["a"], 1));
  expect(withMore(shown, answer([], 1))).toBe(shown);
});

it("keeps the last ones", () => {
  const many = Array.from({ length: MOST + 5 }, (_, at) => String(at));
  const { lines } = withMore(NOTHING_YET, answer(many, 1));
  expect(lines).toHaveLength(MOST);
  expect(lines.at(-1)?.text).toBe(String(MOST + 4));
});
