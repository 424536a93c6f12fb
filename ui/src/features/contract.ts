/** What the routes give that the generated client does not know yet; goes when it does. */
import { api, type Schemas } from "../api/client.ts";
import { type Asked, useLive } from "../api/query.ts";

export type Queue = Schemas["QueueDocument"];

export type Job = Schemas["JobDocument"];
export type JobWithJourney = Schemas["OneJobDocument"];
export type Step = Schemas["StepDocument"];

export type Permissions = Schemas["PermissionsDocument"];

export type NewToken = Schemas["NewTokenDocument"];
export type Token = Schemas["TokenDocument"];
export type Attempt = Schemas["EnrollAttemptDocument"];
export type Finding = { name: string; status: "ok" | "warning" | "error"; text: string; advice: string };

// biome-ignore lint/suspicious/noExplicitAny: the contract's routes are not in the generated types yet
type Any = any;

export function useSoon<T>(path: string, asked: { path?: object; query?: object } = {}, options: object = {}) {
  return useLive(path as Any, asked as Asked<Any>, options) as ReturnType<typeof useLive> & { data: T | undefined };
}

export function postSoon<T>(path: string, body: unknown, asked: object = {}): Promise<T> {
  return api.post(path as Any, body as Any, asked as Any) as Promise<T>;
}

const NOTHING: Permissions = { read: true, change: false, missing: "", teams: null, multi_team: false, user: "" };

/** What the reader may do; nothing is offered before it is known. */
export function usePermissions(): Permissions & { known: boolean } {
  const { data } = useLive("/permissions", {}, { every: 60_000 });
  return { ...(data ?? NOTHING), known: data !== undefined };
}
