import { expect, test } from "vitest";
import { difference, madeOf, type Rule, reordered, whose } from "./policy.ts";

const NOBODY = { teams: [], queues: [], workers: [], dags: [], tasks: [] };
const rule = (may: Rule["may"], who: Partial<Rule["who"]> = {}, note = ""): Rule => ({
  note,
  who: { ...NOBODY, ...who },
  may,
});
const PRESS = rule({ connections: ["a", "b"] }, { dags: ["press"] });
const OVEN = rule({ xcoms: ["@run"] });

test("a rule says whose calls it is about", () => {
  expect(whose(rule({}, { dags: ["a"], queues: ["q"] }))).toEqual([
    ["queue", ["q"]],
    ["Dag", ["a"]],
  ]);
  expect(whose(OVEN)).toEqual([]);
});

test("what is only said in another way is no difference", () => {
  const again = rule({ connections: ["b", "a"] }, { dags: ["press"] }, "with a note");
  const before = { modes: { plc: "off" as const }, granting: [PRESS, OVEN] };
  expect(difference(before, { ...before, granting: [OVEN, again] })).toEqual({ modes: [], added: [], removed: [] });
});

test("rules that come and go, and modes of queues, whatever these are called", () => {
  const before = { modes: { plc: "off" as const, lab: "report" as const }, granting: [PRESS] };
  const after = { modes: { plc: "enforce" as const, constructor: "off" as const }, granting: [OVEN] };
  expect(difference(before, after)).toEqual({
    modes: [
      { queue: "plc", before: "off", after: "enforce" },
      { queue: "lab", before: "report", after: "not named" },
      { queue: "constructor", before: "not named", after: "off" },
    ],
    added: [OVEN],
    removed: [PRESS],
  });
});

test("another order of the queues is a difference, since the first that fits counts", () => {
  const before = { modes: { "p*": "off" as const, plc: "enforce" as const }, granting: [] };
  const after = { modes: { plc: "enforce" as const, "p*": "off" as const }, granting: [] };
  expect([reordered(before, after), reordered(before, before)]).toEqual([true, false]);
});

test.each([
  [{ uses: 0, unknown: [], left_out: 0 }, /^Nothing was asked for in the last 7 days/],
  [{ uses: 1, unknown: [], left_out: 0 }, /^It was made of 1 use in the last 7 days, and grants nothing else\.$/],
  [{ uses: 9, unknown: [], left_out: 2 }, /9 uses .* 2 uses that were denied, or would be now, are not in it\.$/],
  [{ uses: 9, unknown: ["GET /new"], left_out: 0 }, /9 uses .* 1 call is not in it, .*: GET \/new\.$/],
])("a suggestion says what it was made of: %o", (made, words) => expect(madeOf(made, 7)).toMatch(words));
