import { act, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, test, vi } from "vitest";
import { draw } from "../build/testing.tsx";
import { FormField } from "./ui/fields.tsx";
import { Time } from "./ui/Time.tsx";
import { instant, zone } from "./zone.ts";

afterEach(() => window.localStorage.clear());

/** As Airflow's page does it. */
function choose(name: unknown) {
  window.localStorage.setItem("timezone", JSON.stringify(name));
  act(() => {
    window.dispatchEvent(new StorageEvent("local-storage", { key: "timezone" }));
  });
}

test.each([
  ["2026-11-29T13:00", "UTC", "2026-11-29T13:00:00.000Z"],
  ["2026-11-29T13:00", "Europe/Berlin", "2026-11-29T12:00:00.000Z"],
  ["2026-07-01T00:30", "Europe/Berlin", "2026-06-30T22:30:00.000Z"],
  ["2026-10-25T01:30", "Europe/Berlin", "2026-10-24T23:30:00.000Z"],
  ["2026-10-25T03:30", "Europe/Berlin", "2026-10-25T02:30:00.000Z"],
  ["2026-11-29T13:00", "Asia/Kathmandu", "2026-11-29T07:15:00.000Z"],
  ["2026-11-29T00:00", "America/St_Johns", "2026-11-29T03:30:00.000Z"],
])("at %s in %s it is %s", (wall, name, at) => expect(instant(wall, name)?.toISOString()).toBe(at));

test("nothing typed is no time, and a zone that nobody knows is the browser's", () => {
  expect(instant("", "UTC")).toBeUndefined();
  const own = zone();
  for (const kept of ["Mars/Olympus", 7, null]) {
    choose(kept);
    expect(zone()).toBe(own);
  }
  window.localStorage.setItem("timezone", "not JSON");
  expect(zone()).toBe(own);
});

test("the exact time on hover follows the zone that is chosen in Airflow, and names it", () => {
  draw(<Time at="2026-11-29T12:00:00Z" />);
  const shown = () => document.querySelector("time")?.title;
  choose("Asia/Tokyo");
  expect(shown()).toMatch(/\b(21|9):00:00.*Asia\/Tokyo.*2026-11-29 12:00:00 UTC/);
  choose("UTC");
  expect(shown()).toBe("2026-11-29 12:00:00 UTC");
});

test("an end that is typed is meant in that zone, which stands beside it", async () => {
  choose("Asia/Tokyo");
  const onChange = vi.fn();
  draw(<FormField field={{ kind: "until", name: "until", label: "Until" }} value={undefined} onChange={onChange} />);
  await userEvent.selectOptions(screen.getByLabelText("Until"), "at");
  await userEvent.type(screen.getByLabelText("Until, in the time zone Asia/Tokyo"), "2026-11-30T09:00");
  expect(onChange).toHaveBeenLastCalledWith("2026-11-30T00:00:00.000Z");
  expect(screen.getByText(/Asia\/Tokyo/)).toBeTruthy();
});
