import { describe, expect, test } from "vitest";
import { addressOf, bodyOf, firstWish, namesIn, toggled } from "./wish.ts";

test.each([
  ["press, oven", ["press", "oven"]],
  [" press ,,press, hall b ", ["press", "hall b"]],
  ["", []],
])("names in %o", (typed, names) => expect(namesIn(typed)).toEqual(names));

test("a suggestion goes in, and out again", () => {
  expect(toggled("press", "oven")).toBe("press, oven");
  expect(toggled("press, oven", "press")).toBe("oven");
});

describe("what is sent", () => {
  test("nothing for what was left open, so that the settings hold", () => {
    expect(bodyOf(firstWish({ api_url: "https://a.example" }))).toEqual({
      queues: [],
      team: null,
      name_pattern: null,
      seconds: 3600,
      uses: 1,
      max_slots: null,
      disconnect_grace: null,
      api_url: "https://a.example",
    });
  });

  test("what was chosen, in the API's units", () => {
    const wish = firstWish({
      queues: "a, b",
      team: "north",
      name_pattern: " press-* ",
      uses: 3,
      max_slots: 8,
      disconnect_grace: "300",
    });
    expect(bodyOf(wish)).toMatchObject({
      queues: ["a", "b"],
      team: "north",
      name_pattern: "press-*",
      uses: 3,
      max_slots: 8,
      disconnect_grace: 300,
      api_url: null,
    });
  });
});

test.each([
  ["https://airflow.example/edge_worker/api/", "https://airflow.example"],
  ["https://example.org/sub/path/edge_worker/api/", "https://example.org/sub/path"],
])("Airflow's own address beside %s", (api, address) => expect(addressOf(api)).toBe(address));
