/** The panel in a Dag's overview: what of it is with the edge workers, or waits for them. From Airflow 3.4 on. */
import { QueryClientProvider } from "@tanstack/react-query";
import { queries } from "./api/query.ts";
import { DagJobs } from "./features/why/DagJobs.tsx";
import { Settled } from "./Settled.tsx";
import { Boundary } from "./ui/Boundary.tsx";

/** What Airflow hands over, as it stands in the address. */
type Props = { dagId?: string };

export default function DagPanel({ dagId }: Props) {
  if (!dagId) return null;
  return (
    <Settled name="dag-panel">
      <QueryClientProvider client={queries}>
        <Boundary>
          <DagJobs key={dagId} dagId={dagId} />
        </Boundary>
      </QueryClientProvider>
    </Settled>
  );
}
