import { screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { draw } from "../../build/testing.tsx";
import { heard } from "../clock.ts";
import { Time } from "./Time.tsx";

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

test("a time is relative, with the exact one on hover and for programs", () => {
  const at = ago(200);
  draw(<Time at={at} />);
  const time = screen.getByText("3 min ago");
  expect(time.tagName).toBe("TIME");
  expect(time.getAttribute("datetime")).toBe(at);
  expect(time.title).toContain("UTC");
});

test("how long something takes ends when it has ended", () => {
  draw(<Time as="for" at={ago(500)} until={ago(380)} />);
  expect(screen.getByText("2 min")).toBeTruthy();
});

test("nothing is shown as such", () => {
  const { container } = draw(<Time at={null} />);
  expect(container.textContent).toBe("–");
});

test("a browser whose clock is wrong says the same", () => {
  heard(new Date(Date.now() + 3_600_000).toUTCString());
  draw(<Time at={new Date(Date.now() + 3_600_000 - 200_000).toISOString()} />);
  heard(new Date().toUTCString());
  expect(screen.getByText("3 min ago")).toBeTruthy();
});
