/** A worker's own log as it comes in: each record once, the last ones only. */
import type { Schemas } from "../../api/client.ts";

export type LogRecord = Schemas["LogRecordDocument"];
/** `at`: when it was written, milliseconds; what has no time of its own follows what came before it. */
export type Line = LogRecord & { key: string; at: number };
/** What came in one go: to which time, and how often each record. */
type Run = { last: number; copies: ReadonlyMap<string, number> };
export type Shown = { lines: readonly Line[]; next: number; lost: number; run: Run };

/** Lines that are kept; a browser draws so many without effort. */
export const MOST = 2000;
export const NOTHING_YET: Shown = { lines: [], next: 0, lost: 0, run: { last: 0, copies: new Map() } };

/**
 * Add an answer of `GET /workers/{name}/log`.
 *
 * A site sends its last records again at each request, so that a record may come twice; but equal ones that were written
 * one after the other are as many as they are. What is sent again begins where its times go back, or with the answer to
 * a request: of each record there are as many as in the go that has most of it. What is sent at a request may be older
 * than what the site has sent by itself, and stands before it; what is written from then on stands at the end, also
 * where the site's clock was set back.
 */
export function withMore(shown: Shown, more: Schemas["WorkerLogDocument"]): Shown {
  if (more.next === shown.next && more.records.length === 0) return shown;
  const known = new Set(shown.lines.map((line) => line.key));
  let { last } = shown.run;
  const fresh = more.answers.length > 0 || shown.run.copies.size > 2 * MOST;
  const copies = new Map(fresh ? [] : shown.run.copies);
  const added: Line[] = [];
  for (const record of more.records) {
    const time = Date.parse(record.time);
    // What the runtime prints by itself has no time of its own.
    if (time > 0) {
      if (time < last) copies.clear();
      last = time;
    }
    const same = `${record.time} ${record.level} ${record.source} ${record.text}`;
    const copy = (copies.get(same) ?? 0) + 1;
    copies.set(same, copy);
    const key = `${same} ${copy}`;
    if (!known.has(key)) added.push({ ...record, key, at: last });
    known.add(key);
  }
  const all = [...shown.lines, ...added];
  if (more.answers.length > 0) all.sort((one, other) => one.at - other.at);
  const lines = added.length ? all.slice(-MOST) : shown.lines;
  return { lines, next: more.next, lost: shown.lost + more.lost, run: { last, copies } };
}

/** Levels by the numbers of Python's logging. */
export const LEVELS = [
  { value: "10", label: "Debug" },
  { value: "20", label: "Info" },
  { value: "30", label: "Warning" },
  { value: "40", label: "Error" },
] as const;
