import { screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { draw } from "../../build/testing.tsx";
import { Bar } from "./Bar.tsx";
import { lineOf, Sparkline } from "./Sparkline.tsx";

const percent = (value: number) => `${Math.round(value)} %`;

test("a line has a gap where nothing was measured, and a value alone is a dot", () => {
  expect(lineOf([0, 50, null, 100], 100)).toBe("M0.0 17.0L21.3 9.0M64.0 1.0h.01");
});

test("what it shows is said too", () => {
  draw(<Sparkline label="CPU" values={[10, null, 40, 33.2]} format={percent} max={100} />);
  expect(screen.getByRole("img", { name: "CPU: now 33 %, lately between 10 % and 40 %" })).toBeTruthy();
});

test("nothing measured is no line", () => {
  const { container } = draw(<Sparkline label="CPU" values={[null, null]} format={percent} />);
  expect(container.textContent).toBe("–");
});

test("slots are a meter with its numbers", () => {
  draw(<Bar label="slots taken" used={3} of={8} />);
  const meter = screen.getByRole("meter", { name: "slots taken" });
  expect(meter.getAttribute("aria-valuetext")).toBe("3 of 8");
  expect(screen.getByText("3 / 8")).toBeTruthy();
});
