/**
 * What Airflow loads: it imports this file and then looks for a component under the plugin's name in `globalThis`.
 *
 * Nothing but React itself is used here, so that there is somebody left to say what is missing. The names are set by
 * ourselves: all plugins share this file, and a second import of it does not run it again.
 */
import { type ComponentType, createElement, lazy, Suspense } from "react";
import { begin, firstOf } from "./api/early.ts";
import { missing } from "./host.ts";
import { apiBeside } from "./place.ts";

type Props = Record<string, unknown>;

function sayingWhatIsMissing(names: readonly string[]): ComponentType<Props> {
  const said =
    `This Airflow does not share what the page of edge workers is made with: ${names.join(", ")}. ` +
    "It works with Airflow 3.2, 3.3 and 3.4. Until then: airflow edge list-workers, and the REST API below edge_worker/api/docs.";
  return () => createElement("p", { role: "alert", style: { padding: "1rem" } }, said);
}

function loading(load: () => Promise<{ default: ComponentType<Props> }>): ComponentType<Props> {
  const Part = lazy(() => load().catch((error: unknown) => ({ default: notLoaded(error) })));
  const wait = createElement("p", { role: "status", style: { padding: "1rem" } }, "Loading…");
  return (props) => createElement(Suspense, { fallback: wait }, createElement(Part, props));
}

function notLoaded(error: unknown): ComponentType<Props> {
  const said = `A part of the page of edge workers could not be loaded (${String(error)}). Reload the page; after an update of airflow-edge this is needed once.`;
  return () => createElement("p", { role: "alert", style: { padding: "1rem" } }, said);
}

const names = missing();
const gone = names.length ? sayingWhatIsMissing(names) : undefined;

if (!gone) {
  begin(firstOf(apiBeside(import.meta.url), location), (url) =>
    fetch(url, { credentials: "same-origin", redirect: "manual", cache: "no-store" }),
  );
}

// The same names as in src/airflow_edge/page/entries.py.
Object.assign(globalThis, {
  "Edge workers": gone ?? loading(() => import("./Page.tsx")),
  "Why it waits": gone ?? loading(() => import("./Panel.tsx")),
  "Edge jobs of a Dag": gone ?? loading(() => import("./DagPanel.tsx")),
});
