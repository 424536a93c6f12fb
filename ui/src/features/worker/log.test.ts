import { expect, it } from "vitest";
import { MOST, NOTHING_YET, withMore } from "./log.ts";

const record = (text: string, time = "2026-11-29T12:00:00Z") => ({ time, level: "INFO", source: "agent", text });
const answer = (texts: string[], next: number, lost = 0, answers: string[] = []) => ({
  worker: "a",
  records: texts.map((text) => record(text)),
  lost,
  answers,
  next,
});
const timed = (next: number, ...records: [text: string, second: number][]) => ({
  ...answer([], next),
  records: records.map(([text, second]) => record(text, new Date(second * 1000).toISOString())),
});
const texts = (...answers: Parameters<typeof withMore>[1][]) =>
  answers.reduce(withMore, NOTHING_YET).lines.map(({ text }) => text);

it("shows each record once, though a site sends its last ones again", () => {
  const shown = withMore(withMore(NOTHING_YET, answer(["a", "b"], 1)), answer(["b", "c"], 2, 4, ["request"]));
  expect(shown.lines.map(({ text }) => text)).toEqual(["a", "b", "c"]);
  expect(shown.next).toBe(2);
  expect(shown.lost).toBe(4);
});

it("shows equal lines as often as they were written", () => {
  expect(texts(answer(["a", "a", "b"], 1), answer(["a"], 2))).toEqual(["a", "a", "b", "a"]);
  expect(texts(timed(1, ["no time", 0], ["x", 5]), timed(2, ["no time", 0]))).toEqual(["no time", "x", "no time"]);
});

it("shows equal lines once that are sent again, also in the middle of an answer", () => {
  const first = timed(1, ["a", 1], ["a", 1], ["b", 2]);
  expect(texts(first, timed(2, ["a", 1], ["a", 1], ["b", 2], ["c", 3]))).toEqual(["a", "a", "b", "c"]);
  expect(texts(timed(1, ["a", 1], ["b", 2], ["a", 1], ["a", 1], ["b", 2], ["c", 3]))).toEqual(["a", "b", "a", "c"]);
});

it("puts what was written before where it was written", () => {
  const sentByItself = timed(1, ["warning", 5], ["its end", 0]);
  const past = { ...timed(2, ["start", 1], ["warning", 5], ["its end", 0], ["now", 6]), answers: ["request"] };
  expect(texts(sentByItself, past)).toEqual(["start", "warning", "its end", "now"]);
});

it("puts what is written from now on at the end, also where the clock was set back", () => {
  const past = { ...timed(1, ["noon", 1000], ["after", 1001]), answers: ["request"] };
  expect(texts(past, timed(2, ["set back", 10]))).toEqual(["noon", "after", "set back"]);
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
