/** What this page needs of Airflow's, and what to say where it is not there. */

const NEEDED: Readonly<Record<string, readonly string[]>> = {
  React: ["createElement", "lazy", "Suspense", "useState"],
  ReactDOM: ["createPortal"],
  ReactJSXRuntime: ["jsx", "jsxs", "Fragment"],
  ReactRouterDOM: ["Link", "Routes", "Route", "useLocation", "useSearchParams"],
  ChakraUI: ["Box", "Button", "Dialog", "Table", "useChakraContext"],
};

/** Give what is missing, as `ChakraUI` or `ChakraUI.Dialog`; nothing where all is there. */
export function missing(scope: object = globalThis): string[] {
  const found = scope as Record<string, Record<string, unknown> | undefined>;
  return Object.entries(NEEDED).flatMap(([global, names]) => {
    const shared = found[global];
    return shared ? names.filter((name) => !shared[name]).map((name) => `${global}.${name}`) : [global];
  });
}
