import { expect, test } from "vitest";
import type { Attempt } from "../documents.ts";
import { arrived, refusals } from "./arrivals.ts";

const TOKEN = { id: "t1", created_at: "2026-11-29T12:00:00Z" };
const worker = (name: string, enrolled_at: string) => ({ name, enrolled_at });
const attempt = (name: string, token_id: string | null, result: Attempt["result"]): Attempt => ({
  at: "2026-11-29T12:00:30Z",
  name,
  token_id,
  result,
  text: "",
});

test("who came with the token is here, and nobody else", () => {
  const workers = [
    worker("mine", "2026-11-29T12:00:30Z"),
    worker("other", "2026-11-29T12:00:40Z"),
    worker("old", "2026-11-29T11:00:00Z"),
  ];
  const attempts = [
    attempt("mine", "t1", "enrolled"),
    attempt("other", "t2", "enrolled"),
    attempt("old", "t1", "refused"),
  ];
  expect(arrived(workers, attempts, TOKEN).map(({ name }) => name)).toEqual(["mine"]);
});

test("without a list of attempts it is whoever came since", () => {
  const workers = [worker("new", "2026-11-29T12:00:00Z"), worker("old", "2026-11-29T11:59:59Z")];
  expect(arrived(workers, undefined, TOKEN).map(({ name }) => name)).toEqual(["new"]);
});

test("a refusal is told if it was with this token, or with one that nobody knows", () => {
  const attempts = [
    attempt("typo", null, "refused"),
    attempt("used up", "t1", "refused"),
    attempt("else", "t2", "refused"),
    attempt("mine", "t1", "enrolled"),
  ];
  expect(refusals(attempts, TOKEN).map(({ name }) => name)).toEqual(["typo", "used up"]);
});
