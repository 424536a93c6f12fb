/** The panel in the page of a task instance: why it waits, or what became of it. */
import { Box } from "@chakra-ui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { queries } from "./api/query.ts";
import { Why } from "./features/why/Why.tsx";
import { Settled } from "./Settled.tsx";
import { Boundary } from "./ui/Boundary.tsx";
import { Empty } from "./ui/Empty.tsx";

/** What Airflow hands over: strings, as they stand in the address. */
type Props = { dagId?: string; runId?: string; taskId?: string; mapIndex?: string | number };

export default function Panel({ dagId, runId, taskId, mapIndex }: Props) {
  const index = Number(mapIndex ?? -1);
  return (
    <Settled name="panel">
      <QueryClientProvider client={queries}>
        <Box p={4} minW={0}>
          <Boundary>
            {dagId && runId && taskId ? (
              <Why
                // Airflow keeps the panel from task to task: one's reason is not another's.
                key={[dagId, runId, taskId, index].join("\n")}
                dagId={dagId}
                runId={runId}
                taskId={taskId}
                mapIndex={Number.isInteger(index) ? index : -1}
              />
            ) : (
              <Empty title="Airflow does not say which task this is" />
            )}
          </Boundary>
        </Box>
      </QueryClientProvider>
    </Settled>
  );
}
