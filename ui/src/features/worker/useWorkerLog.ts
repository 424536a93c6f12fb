/** Reads a worker's own log, and has the worker send it for as long as somebody looks. */
import { useEffect, useState } from "react";
import { api, Problem } from "../../api/client.ts";
import { pace } from "../../api/query.ts";
import { NOTHING_YET, type Shown, withMore } from "./log.ts";

/** Milliseconds: between two looks, and before the worker is asked again; it sends for half a minute. */
const LOOK = 1000;
const ASK = 25_000;
/** Records from before that it is asked for at first. */
const PAST = 200;

export type Told = Shown & { error: Problem | undefined };

/** `ask`: whether the worker may be asked; otherwise only what the centre has is shown. */
export function useWorkerLog(name: string, level: number, ask: boolean): Told {
  const [shown, put] = useState(NOTHING_YET);
  const [error, fail] = useState<Problem>();
  useEffect(() => {
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    let after = 0;
    let asked: number | undefined;
    /** The look that goes on: the audit log has it once, and not at each time that the worker is asked. */
    let opening: string | undefined;
    let refused: Problem | undefined;
    put(NOTHING_YET);
    const look = async () => {
      let next = LOOK;
      try {
        if (document.hidden) return;
        if (ask && (asked === undefined || performance.now() - asked > ASK)) {
          const lines = asked === undefined ? PAST : 0;
          asked = performance.now();
          const wish = { workers: [name], lines, level, continues: opening ?? null };
          const [outcome] = await api.post("/workers/log", wish);
          opening = outcome?.order_id ?? undefined;
          const why = outcome?.result === "refused" ? outcome.detail : undefined;
          refused = why === undefined ? undefined : new Problem(409, "refused", "It sends nothing", why);
        }
        const more = await api.get("/workers/{name}/log", { path: { name }, query: { after, level } }, ended.signal);
        after = more.next;
        put((before) => withMore(before, more));
        fail(refused);
      } catch (problem) {
        next = pace(LOOK, problem as Problem);
        if (!ended.signal.aborted) fail(problem as Problem);
      } finally {
        if (!ended.signal.aborted) timer = setTimeout(look, next);
      }
    };
    void look();
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [name, level, ask]);
  return { ...shown, error };
}
