/** What who looks at the page may do. */
import type { Schemas } from "./client.ts";
import { useLive } from "./query.ts";

type Permissions = Schemas["PermissionsDocument"];

const NOTHING: Permissions = { read: true, change: false, missing: "", teams: null, multi_team: false, user: "" };

/** Asked for once a minute, since it hardly ever changes; nothing is offered before it is known. */
export function usePermissions(): Permissions & { known: boolean } {
  const { data } = useLive("/permissions", {}, { every: 60_000 });
  return { ...(data ?? NOTHING), known: data !== undefined };
}
