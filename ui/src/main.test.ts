import { render, screen } from "@testing-library/react";
import { type ComponentType, createElement } from "react";
import { afterEach, expect, test, vi } from "vitest";
import { SHARED } from "../build/host.ts";

const shared = globalThis as unknown as Record<string, ComponentType>;

afterEach(() => vi.unstubAllGlobals());

/** Load the module as Airflow does, with what it shares. */
async function load(without: string[] = []) {
  for (const [module, global] of Object.entries(SHARED)) {
    vi.stubGlobal(global, without.includes(global) ? undefined : await import(module));
  }
  vi.resetModules();
  await import("./main.tsx");
}

test("each plugin finds its component, though the module runs once", async () => {
  await load();
  for (const name of ["Edge workers", "Why it waits", "Edge jobs of a Dag"])
    expect(shared[name]).toBeTypeOf("function");
  expect(shared["Edge workers"]).not.toBe(shared["Why it waits"]);
});

test("where the host shares too little, that is said in words", async () => {
  await load(["ChakraUI", "ReactRouterDOM"]);
  const page = shared["Edge workers"];
  if (page) render(createElement(page));
  expect(screen.getByRole("alert").textContent).toMatch(/ReactRouterDOM, ChakraUI\b.*Airflow 3\.2/);
});
