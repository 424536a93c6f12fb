/** What the views of fleet and worker read. */
import type { Query } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";

export const useOverview = () => useLive("/overview");
export const useWorkers = (query: Query<"/workers">) => useLive("/workers", { query });
