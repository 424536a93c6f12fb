import { expect, it } from "vitest";
import { type Filter, filterOf, fleetWith, isFiltered } from "./filters.ts";

const read = (address: string): Filter => {
  const asked = new URL(address, "http://host").searchParams;
  return filterOf({ get: (name) => asked.get(name) ?? "", all: (name) => asked.getAll(name) });
};

it("is in the address, and is read from there without a loss", () => {
  const filter: Filter = { search: "site-*", attention: "held back", link: ["linked", "out of reach"], load: ["full"] };
  expect(fleetWith(filter)).toMatch(/^\/plugin\/edge\?/);
  expect(read(fleetWith(filter))).toEqual(filter);
});

it("knows nothing of what is not a filter, nor of an empty one", () => {
  expect(isFiltered(read("/?page=2&order=-cpu&link=&load=laden&search="))).toBe(false);
  expect(isFiltered(read("/?queue=gpu"))).toBe(true);
});
