// @vitest-environment node
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { host, standIn } from "./host.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "host-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function bundled(source: string): Promise<string> {
  await writeFile(join(folder, "main.js"), source);
  await build({
    configFile: false,
    logLevel: "silent",
    root: folder,
    plugins: [host()],
    build: {
      minify: false,
      rolldownOptions: {
        input: join(folder, "main.js"),
        output: { entryFileNames: "out.js" },
        treeshake: { propertyReadSideEffects: false },
      },
    },
  });
  return readFile(join(folder, "dist", "out.js"), "utf8");
}

test("what is imported is read from the host's global, and nothing else of it", async () => {
  const code = await bundled(
    'import { useState } from "react";\nimport { Link } from "react-router-dom";\nglobalThis.got = [useState, Link];',
  );
  const run = new Function("globalThis", code) as (scope: object) => void;
  const scope: { React: object; ReactRouterDOM: object; got?: unknown } = {
    React: { useState: 1 },
    ReactRouterDOM: { Link: 2 },
  };
  run(scope);
  expect(scope.got).toEqual([1, 2]);
  expect(code).not.toContain("useEffect");
});

test("a whole library can be taken as one", async () => {
  const code = await bundled(
    'import * as React from "react";\nimport Default from "react";\nglobalThis.got = [React.useMemo, Default.useMemo];',
  );
  const scope = { React: { useMemo: 3 }, got: undefined };
  (new Function("globalThis", code) as (scope: object) => void)(scope);
  expect(scope.got).toEqual([3, 3]);
});

test("names that are none in a module are left out", () => {
  expect(standIn("React", ["use", "default", "module.exports"])).not.toMatch(/module|as default/);
});
