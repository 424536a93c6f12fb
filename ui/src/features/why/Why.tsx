/** Placeholder: why a task waits. */
import { Text } from "@chakra-ui/react";
import { useLive } from "../../api/query.ts";

type Props = { dagId: string; runId: string; taskId: string; mapIndex: number };

export function Why({ dagId, runId, taskId, mapIndex }: Props) {
  const { data, error } = useLive("/explanation", {
    query: { dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex },
  });
  return <Text role="status">{error?.message ?? JSON.stringify(data)}</Text>;
}
