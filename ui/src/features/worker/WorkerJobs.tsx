/** The jobs that a worker has now, and those that it had. */
import { Link as Anchor, Box, Flex, Heading, Skeleton, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import type { Schemas } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";
import { at, taskInstance } from "../../place.ts";
import { Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Time } from "../../ui/Time.tsx";
import { exitOf, isTask, nameOf } from "../jobs/job.ts";
import { StateOfJob } from "../jobs/StateOfJob.tsx";

type Job = Schemas["JobDocument"];
type State = Job["state"];

const NOW: readonly State[] = ["leased", "running"];
const BEFORE: readonly State[] = ["succeeded", "failed", "lost", "cancelled"];
/** Of those that have ended. */
const SHOWN = 50;

export function WorkerJobs({ name }: { name: string }) {
  return (
    <Flex direction="column" gap={6}>
      <Part title="Now" worker={name} states={NOW} order="-started_at" none="It has no job." />
      <Part title="Before" worker={name} states={BEFORE} order="-ended_at" none="It has had no job lately." />
    </Flex>
  );
}

type PartProps = { title: string; worker: string; states: readonly State[]; order: string; none: string };

function Part({ title, worker, states, order, none }: PartProps) {
  const { data, error, refetch } = useLive("/jobs", {
    query: { worker, state: [...states], order_by: order, limit: SHOWN },
  });
  return (
    <Box as="section">
      <Heading as="h3" size="sm" mb={2}>
        {title}
        {data && (
          <Text as="span" ms={2} fontWeight="normal" color="fg.muted">
            {data.total}
          </Text>
        )}
      </Heading>
      {error && <ErrorNote error={error} retry={refetch} stale={data !== undefined} />}
      {!data && !error && <Skeleton h="8rem" role="status" aria-label="The jobs are loading" />}
      {data?.total === 0 && <Empty title={none} />}
      {data && data.total > 0 && (
        <Rows label={`${title}: jobs of ${worker}`} columns={COLUMNS} rows={data.items} keyOf={({ id }) => id} />
      )}
      {data && data.total > SHOWN && (
        <Anchor asChild variant="underline" mt={2} fontSize="sm">
          <Link
            to={`${at("jobs")}?${new URLSearchParams([["worker", worker], ...states.map((one) => ["state", one])])}`}
          >
            All {data.total.toLocaleString("en")} of them
          </Link>
        </Anchor>
      )}
    </Box>
  );
}

const COLUMNS: readonly Column<Job>[] = [
  { name: "Task", cell: (job) => <What job={job} /> },
  { name: "State", short: true, cell: ({ state }) => <StateOfJob state={state} /> },
  { name: "Queue", short: true, cell: ({ queue }) => queue },
  { name: "Began", short: true, cell: ({ started_at }) => <Time at={started_at} /> },
  {
    name: "Ran",
    numeric: true,
    cell: ({ started_at, ended_at }) => <Time at={started_at} as="for" until={ended_at} />,
  },
  {
    name: "Ended with",
    cell: (job) => (
      <Text as="span" overflowWrap="anywhere">
        {[exitOf(job), job.reason].filter(Boolean).join(": ") || "–"}
      </Text>
    ),
  },
  {
    name: "Journey",
    cell: (job) => (
      <Anchor asChild variant="underline">
        <Link to={at("jobs", job.id)} aria-label={`Journey of ${nameOf(job)}`}>
          Journey
        </Link>
      </Anchor>
    ),
  },
];

function What({ job }: { job: Job }) {
  return (
    <Box minW={0} maxW={{ md: "24rem" }} overflowWrap="anywhere">
      {isTask(job) ? (
        <Anchor asChild variant="underline" fontWeight="semibold">
          <Link to={taskInstance(job)}>{nameOf(job)}</Link>
        </Anchor>
      ) : (
        <Text fontWeight="semibold">{nameOf(job)}</Text>
      )}
      {job.dag_id && (
        <Text fontSize="xs" color="fg.muted">
          {job.dag_id} · {job.run_id}
          {job.try_number > 1 && ` · try ${job.try_number}`}
        </Text>
      )}
    </Box>
  );
}
