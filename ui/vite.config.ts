import { defineConfig } from "vitest/config";
import { host } from "./build/host.ts";

const INTO = "../src/airflow_edge/page/bundle";

export default defineConfig({
  plugins: [host()],
  // Chunks are found beside the module that asks for them, wherever Airflow is mounted.
  base: "./",
  build: {
    outDir: process.env.EDGE_PAGE_INTO ?? INTO,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      input: "src/main.tsx",
      output: {
        format: "es",
        entryFileNames: "edge-[hash].js",
        chunkFileNames: "[name]-[hash].js",
        assetFileNames: "[name]-[hash][extname]",
      },
      // A name that is read from the host and not used is left out.
      treeshake: { propertyReadSideEffects: false },
      // `"use client"` in libraries is meant for servers.
      checks: { moduleLevelDirective: false, pluginTimings: false, bundlerTimings: false },
    },
  },
  test: { environment: "jsdom", setupFiles: ["build/setup.ts"], isolate: false, testTimeout: 60_000 },
});
