import { expect, test } from "vitest";
import type { Attempt } from "../documents.ts";
import { enrolledWith, REMEMBERED, stateOf, usesOf } from "./uses.ts";

const TOKEN = { id: "t1", created_at: "2026-11-29T12:00:00Z" };
const attempt = (name: string, at: string, token_id = "t1", result: Attempt["result"] = "enrolled"): Attempt => ({
  at,
  name,
  token_id,
  result,
  text: "",
});
const LATER = "2026-11-29T12:30:00Z";

test("who enrolled with a token, not who was refused or had another", () => {
  const attempts = [
    attempt("b", LATER),
    attempt("c", LATER, "t2"),
    attempt("d", LATER, "t1", "refused"),
    attempt("a", LATER),
  ];
  expect(enrolledWith(TOKEN, attempts)).toEqual(["b", "a"]);
});

test("nothing is claimed where attempts may be forgotten", () => {
  const many = Array.from({ length: REMEMBERED }, (_, n) => attempt(String(n), LATER, "t2"));
  expect(enrolledWith(TOKEN, many)).toBeUndefined();
  expect(enrolledWith(TOKEN, [...many.slice(1), attempt("old", "2026-11-29T11:00:00Z", "t2")])).toEqual([]);
  expect(enrolledWith(TOKEN, undefined)).toBeUndefined();
});

test.each([
  ["valid", null, [], "Never used"],
  ["valid", null, ["a"], "Valid"],
  ["valid", null, undefined, "Valid"],
  ["valid", 60, undefined, "Never used"],
  ["valid", 61, undefined, "Valid"],
  ["used up", null, ["a"], "Used up"],
  ["expired", 60, [], "Expired"],
] as const)("%s of %o, used by %o: %s", (state, uses, names, word) =>
  expect(stateOf({ state, uses, uses_left: 60 }, names)).toBe(word),
);

test("how often it was used is said of how often it may be", () => {
  expect(usesOf({ uses: 300, uses_left: 39 })).toBe("261 of 300");
  expect(usesOf({ uses: null, uses_left: 39 })).toBe("39 left");
});
