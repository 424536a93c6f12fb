import { expect, test } from "vitest";
import { SHARED } from "../build/host.ts";
import { missing } from "./host.ts";

const names = Object.entries(SHARED);

test("nothing is missing where the host shares what we were built against", async () => {
  const scope = Object.fromEntries(
    await Promise.all(names.map(async ([module, global]) => [global, await import(module)])),
  );
  expect(missing(scope)).toEqual([]);
});

test("every module that is taken from the host is looked for", () => {
  expect(missing({}).sort()).toEqual(names.map(([, global]) => global).sort());
});

test("a part that an older host has not is named", async () => {
  const scope = Object.fromEntries(
    await Promise.all(names.map(async ([module, global]) => [global, await import(module)])),
  );
  expect(missing({ ...scope, ChakraUI: { ...scope.ChakraUI, Dialog: undefined } })).toEqual(["ChakraUI.Dialog"]);
});
