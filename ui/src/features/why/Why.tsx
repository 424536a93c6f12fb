/** The panel at a task instance: why it waits or what became of it, and its way to a worker. */
import { Link as Anchor, Box, Flex, Heading, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { useLive } from "../../api/query.ts";
import { at } from "../../place.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Journey } from "../jobs/Journey.tsx";
import { QueueLink } from "../jobs/QueueLink.tsx";
import { StateOfJob } from "../jobs/StateOfJob.tsx";
import { useJob, useJobs } from "../jobs/useJobs.ts";
import { WorkerName } from "../jobs/WorkerName.tsx";
import { Explained } from "./Explained.tsx";

type Props = { dagId: string; runId: string; taskId: string; mapIndex: number };

export function Why({ dagId, runId, taskId, mapIndex }: Props) {
  const task = { dag_id: dagId, run_id: runId, task_id: taskId, map_index: mapIndex };
  const { data: said, error, refetch } = useLive("/explanation", { query: task });
  const jobs = useJobs({ ...task, order_by: "-queued_at" });
  const newest = jobs.data?.items.find(({ map_index }) => map_index === mapIndex);
  if (error && !said) return <ErrorNote error={error} retry={refetch} />;
  if (!said) return <Text role="status">Looking why…</Text>;
  return (
    <Flex direction="column" gap={4} maxW="48rem">
      {error && <ErrorNote error={error} retry={refetch} stale />}
      <Explained {...said} queue={newest?.queue} />
      {jobs.error && <ErrorNote error={jobs.error} retry={jobs.refetch} />}
      {newest && <Way id={newest.id} />}
      {jobs.data && !newest && <NoJob cause={said.cause} />}
    </Flex>
  );
}

function Way({ id }: { id: string }) {
  const { data: job, error, refetch } = useJob(id);
  if (error && !job) return <ErrorNote error={error} retry={refetch} />;
  if (!job) return null;
  return (
    <Box as="section" aria-labelledby="way">
      <Flex gap={3} align="baseline" wrap="wrap" mb={3}>
        <Heading as="h3" size="sm" id="way">
          Its job
        </Heading>
        <StateOfJob state={job.state} />
        <Text fontSize="sm">
          queue <QueueLink queue={job.queue} />
        </Text>
        {job.worker && (
          <Text fontSize="sm">
            worker <WorkerName worker={job.worker} />
          </Text>
        )}
        <Anchor asChild variant="underline" fontSize="sm">
          <Link to={at("jobs", job.id)}>The job’s own page</Link>
        </Anchor>
      </Flex>
      <Journey job={job} />
    </Box>
  );
}

function NoJob({ cause }: { cause: string }) {
  return (
    <Text color="fg.muted" fontSize="sm">
      {cause === "finished" || cause === "running"
        ? "There is no job of it: it did not go by the edge executor, or the job was deleted since, as all are a while after their end."
        : "There is no job of it yet: Airflow has not handed it to the edge executor."}
    </Text>
  );
}
