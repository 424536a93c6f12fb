/** Whether the worker has come, and if not, what was seen of it. */
import type { Schemas } from "../../api/client.ts";
import type { Attempt } from "../documents.ts";

type Worker = Pick<Schemas["WorkerDocument"], "name" | "enrolled_at">;

/** Milliseconds after which somebody who waits is to be told what may be wrong. */
export const PATIENCE = 60_000;

/** Give those who came with this token; without a list of attempts, whoever came since it was made. */
export function arrived<W extends Worker>(
  workers: readonly W[],
  attempts: readonly Attempt[] | undefined,
  token: { id: string; created_at: string },
): W[] {
  const since = workers.filter(({ enrolled_at }) => Date.parse(enrolled_at) >= Date.parse(token.created_at));
  if (!attempts) return since;
  const names = new Set(
    attempts.filter((one) => one.token_id === token.id && one.result === "enrolled").map(({ name }) => name),
  );
  return since.filter(({ name }) => names.has(name));
}

/** Give what was refused since, newest first: with this token, or with one that nobody knows. */
export function refusals(attempts: readonly Attempt[], token: { id: string }): Attempt[] {
  return attempts
    .filter(({ result, token_id }) => result === "refused" && (token_id === null || token_id === token.id))
    .toSorted((one, other) => Date.parse(other.at) - Date.parse(one.at));
}
