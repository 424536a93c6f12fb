import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import { draw, serve } from "../build/testing.tsx";
import Page from "./Page.tsx";
import Panel from "./Panel.tsx";
import { Boundary } from "./ui/Boundary.tsx";

const below = (path: string) => ({ at: `/plugin/edge${path}`, route: "/plugin/edge/*" });
const fails = { now: true };

function Failing() {
  if (fails.now) throw new Error("no such thing");
  return <p>all well</p>;
}

const current = () => screen.getAllByRole("link").filter((link) => link.getAttribute("aria-current") === "page");

test.each([
  ["", "Fleet"],
  ["/workers/press-7", "Fleet"],
  ["/queues", "Queues"],
  ["/jobs", "Jobs"],
  ["/jobs/1", "Jobs"],
  ["/policy", "Policy"],
  ["/add", "Add a worker"],
])("at '%s' the place in the navigation is %s", async (path, name) => {
  await serve(() => undefined);
  draw(<Page />, below(path));
  expect(current().map(({ textContent }) => textContent)).toContain(name);
});

test("an address that is none leads back to the fleet", async () => {
  await serve(() => undefined);
  draw(<Page />, below("/nowhere"));
  expect(screen.getByText("There is nothing here")).toBeTruthy();
  await userEvent.click(screen.getByRole("link", { name: "To the fleet" }));
  expect(current().map(({ textContent }) => textContent)).toContain("Fleet");
});

test("a panel that is not told its task says so", () => {
  draw(<Panel />);
  expect(screen.getByText("Airflow does not say which task this is")).toBeTruthy();
});

test("a view that fails leaves words, and can be tried again", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  draw(
    <Boundary>
      <Failing />
    </Boundary>,
  );
  expect(screen.getByRole("alert").textContent).toContain("no such thing");
  fails.now = false;
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(screen.getByText("all well")).toBeTruthy();
  vi.restoreAllMocks();
});
