/**
 * What Airflow shares with its plugins, taken from it instead of bundled.
 *
 * Airflow's page puts its own React, router and Chakra into `globalThis` before it loads a plugin. Two copies of React break
 * hooks, two routers break links, and a second Chakra knows neither the host's colours nor whether it is dark.
 */
import type { Plugin } from "vite";

/** Module that is imported → global that has it. `src/host.ts` checks the same names before anything is taken from them. */
export const SHARED: Readonly<Record<string, string>> = {
  react: "React",
  "react-dom": "ReactDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
  "@chakra-ui/react": "ChakraUI",
};

const PREFIX = "\0host:";
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** Write the module that stands in for `module`: each name that it exports, read from the host's global. */
export function standIn(global: string, names: readonly string[]): string {
  const exported = names.filter((name) => IDENTIFIER.test(name) && name !== "default");
  return [
    `const host = globalThis.${global};`,
    "export default host;",
    ...exported.map((name, at) => `const _${at} = host.${name};\nexport { _${at} as ${name} };`),
  ].join("\n");
}

/** Map the shared modules to the host's, in our code as in that of the libraries we bundle. */
export function host(shared: Readonly<Record<string, string>> = SHARED): Plugin {
  return {
    name: "airflow-edge:host",
    enforce: "pre",
    apply: "build",
    resolveId: (source) => (source in shared ? PREFIX + source : undefined),
    async load(id) {
      const module = id.startsWith(PREFIX) ? id.slice(PREFIX.length) : undefined;
      const global = module && shared[module];
      if (!module || !global) return undefined;
      const names = Object.keys((await import(module)) as object);
      return { code: standIn(global, names), moduleSideEffects: false };
    },
  };
}
