/** Where things are, whatever Airflow is mounted under. */

/** The route of `src/airflow_edge/page/entries.py`, below the host's router. */
const ROUTE = "/plugin/edge";

/** Give the REST API's address for a module of this bundle, which is served beside it. */
export function apiBeside(module: string): string {
  return new URL("../api/", module).href;
}

/** Give the address of a view of ours for the host's `Link`, which puts a sub-path before it: `at("workers", name)`. */
export function at(...parts: readonly string[]): string {
  return [ROUTE, ...parts.map(encodeURIComponent)].join("/");
}

/** Give the address of a task instance in Airflow, for the host's `Link`. */
export function taskInstance(job: { dag_id: string; run_id: string; task_id: string; map_index?: number }): string {
  const [dag, run, task] = [job.dag_id, job.run_id, job.task_id].map(encodeURIComponent);
  const mapped = job.map_index !== undefined && job.map_index >= 0 ? `/mapped/${job.map_index}` : "";
  return `/dags/${dag}/runs/${run}/tasks/${task}${mapped}`;
}
