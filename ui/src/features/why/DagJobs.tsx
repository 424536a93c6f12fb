/** A Dag's jobs that wait or run, and why the oldest of them waits; nothing where there is none. */
import { Link as Anchor, Box, Flex, Heading, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { useLive } from "../../api/query.ts";
import { at, taskInstance } from "../../place.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Time } from "../../ui/Time.tsx";
import { count } from "../../words.ts";
import type { Job } from "../documents.ts";
import { isTask, type JobState, nameOf } from "../jobs/job.ts";
import { QueueLink } from "../jobs/QueueLink.tsx";
import { StateOfJob } from "../jobs/StateOfJob.tsx";
import { useJobs } from "../jobs/useJobs.ts";
import { WorkerName } from "../jobs/WorkerName.tsx";
import { Explained } from "./Explained.tsx";

const OPEN: readonly JobState[] = ["queued", "leased", "running"];
/** So many are shown; the page of jobs has all. */
const SHOWN = 5;

export function DagJobs({ dagId }: { dagId: string }) {
  const open = useJobs({ dag_id: dagId, state: [...OPEN], order_by: "queued_at", limit: SHOWN });
  const waiting = useJobs({ dag_id: dagId, state: ["queued"], order_by: "queued_at", limit: 1 });
  // Who may not see jobs has come for the Dag, not for this.
  if (open.error?.status === 403) return null;
  if (open.error && !open.data) return <ErrorNote error={open.error} retry={open.refetch} />;
  if (!open.data?.total) return null;
  const [oldest] = waiting.data?.items ?? [];
  return (
    <Box as="section" aria-labelledby="edge-jobs" my={2} borderWidth={1} borderColor="border" rounded="md" p={4}>
      <Flex gap={3} align="baseline" wrap="wrap" mb={3}>
        <Heading as="h3" size="sm" id="edge-jobs">
          At edge workers
        </Heading>
        <Text fontSize="sm" color="fg.muted">
          {count(waiting.data?.total ?? 0, "job waits", "jobs wait")}, {open.data.total - (waiting.data?.total ?? 0)}{" "}
          with a worker
        </Text>
        <Anchor asChild variant="underline" fontSize="sm" ms={{ sm: "auto" }}>
          <Link to={`${at("jobs")}?${new URLSearchParams([["dag_id", dagId]])}`}>All its jobs</Link>
        </Anchor>
      </Flex>
      {open.error && <ErrorNote error={open.error} retry={open.refetch} stale />}
      {oldest && isTask(oldest) && <Why job={oldest} />}
      <Rows label="Jobs of this Dag" columns={COLUMNS} rows={open.data.items} keyOf={({ id }) => id} />
    </Box>
  );
}

function Why({ job }: { job: Job }) {
  const { dag_id, run_id, task_id, map_index } = job;
  const { data } = useLive("/explanation", { query: { dag_id, run_id, task_id, map_index } });
  return data ? (
    <Box mb={3}>
      <Explained {...data} queue={job.queue} />
    </Box>
  ) : null;
}

const COLUMNS: readonly Column<Job>[] = [
  {
    name: "Task",
    cell: (job) =>
      isTask(job) ? (
        <Anchor asChild variant="underline" fontWeight="semibold" overflowWrap="anywhere">
          <Link to={taskInstance(job)}>{nameOf(job)}</Link>
        </Anchor>
      ) : (
        nameOf(job)
      ),
  },
  { name: "Run", cell: ({ run_id }) => <Text overflowWrap="anywhere">{run_id}</Text> },
  { name: "State", short: true, cell: ({ state }) => <StateOfJob state={state} /> },
  { name: "Queue", short: true, cell: ({ queue }) => <QueueLink queue={queue} /> },
  { name: "Worker", cell: ({ worker }) => <WorkerName worker={worker} /> },
  { name: "Since", short: true, cell: ({ started_at, queued_at }) => <Time at={started_at ?? queued_at} as="for" /> },
  {
    name: "Journey",
    cell: (job) => (
      <Anchor asChild variant="underline">
        <Link to={at("jobs", job.id)} aria-label={`Journey of ${nameOf(job)}`}>
          {job.state === "queued" ? "Why it waits" : "Journey"}
        </Link>
      </Anchor>
    ),
  },
];
