import { render } from "@testing-library/react";
import { expect, it } from "vitest";
import { now } from "../clock.ts";
import { Said, sentenceOf } from "./Said.tsx";

it("tells moments as people do, with the exact one on hover", () => {
  const at = new Date(now() - 5 * 60_000).toISOString();
  const { container } = render(<Said>{`It was heard ${at.slice(0, 16).replace("T", " ")} UTC, and not since.`}</Said>);
  expect(container.textContent).toMatch(/^It was heard [56] min ago, and not since\.$/);
  expect(container.querySelector("time")?.title).toContain("UTC");
});

it("isolates what is quoted, whose letters may run the other way", () => {
  const { container } = render(<Said>{"by kim: 'דיסק חדש', 3 jobs wait in 'plc'"}</Said>);
  expect([...container.querySelectorAll("bdi")].map((one) => one.textContent)).toEqual(["'דיסק חדש'", "'plc'"]);
  expect(container.textContent).toBe("by kim: 'דיסק חדש', 3 jobs wait in 'plc'");
});

it("is a whole sentence", () => {
  expect([
    sentenceOf("it warns"),
    sentenceOf("It does."),
    sentenceOf("run this:"),
    sentenceOf("airflow-edge 1 is old"),
  ]).toEqual(["It warns.", "It does.", "Run this:", "airflow-edge 1 is old."]);
});
