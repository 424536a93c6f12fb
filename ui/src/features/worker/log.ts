/** A worker's own log as it comes in: each record once, the last ones only. */
import type { Schemas } from "../../api/client.ts";

export type LogRecord = Schemas["LogRecordDocument"];
export type Line = LogRecord & { key: string };
export type Shown = { lines: readonly Line[]; next: number; lost: number };

/** Lines that are kept; a browser draws so many without effort. */
export const MOST = 2000;
export const NOTHING_YET: Shown = { lines: [], next: 0, lost: 0 };

/**
 * Add an answer of `GET /workers/{name}/log`.
 *
 * A site sends its last records again at each request, so that a record may come twice.
 */
export function withMore(shown: Shown, more: Schemas["WorkerLogDocument"]): Shown {
  if (more.next === shown.next && more.records.length === 0) return shown;
  const known = new Set(shown.lines.map((line) => line.key));
  const added: Line[] = [];
  for (const record of more.records) {
    const key = `${record.time} ${record.level} ${record.source} ${record.text}`;
    if (known.has(key)) continue;
    known.add(key);
    added.push({ ...record, key });
  }
  const lines = added.length ? [...shown.lines, ...added].slice(-MOST) : shown.lines;
  return { lines, next: more.next, lost: shown.lost + more.lost };
}

/** Levels by the numbers of Python's logging. */
export const LEVELS = [
  { value: "10", label: "Debug" },
  { value: "20", label: "Info" },
  { value: "30", label: "Warning" },
  { value: "40", label: "Error" },
] as const;
