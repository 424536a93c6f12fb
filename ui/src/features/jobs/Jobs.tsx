/** The jobs: on their way, and lately ended. */
import { Link as Anchor, Box, Button, Collapsible, Flex, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { at, taskInstance } from "../../place.ts";
import { Pager } from "../../ui/DataTable.tsx";
import { BeyondTheLast, Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Search } from "../../ui/Filters.tsx";
import { type ListState, useList } from "../../ui/list.ts";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Time } from "../../ui/Time.tsx";
import type { Job } from "../documents.ts";
import { isOpen, isTask, type JobState, nameOf, STATES } from "./job.ts";
import { StateOfJob } from "./StateOfJob.tsx";
import { useJobs } from "./useJobs.ts";
import { WorkerName } from "./WorkerName.tsx";

/** What can be asked for exactly; each stands in the address under its name. */
const EXACTLY = {
  queue: "Queue",
  worker: "Worker",
  dag_id: "Dag",
  run_id: "Run",
  task_id: "Task",
  map_index: "Map index",
} as const;
const FILTERS = ["search", "state", ...Object.keys(EXACTLY)];

export function Jobs() {
  const list = useList({ order: "-queued_at" });
  const states = list.all("state").filter((state): state is JobState => state in STATES);
  const exactly = Object.fromEntries(
    Object.keys(EXACTLY).flatMap((name) => {
      const value = list.get(name);
      // An address may hold anything, and what is no number would be refused.
      return value && (name !== "map_index" || /^\d{1,9}$/.test(value)) ? [[name, value]] : [];
    }),
  );
  const { data, error, refetch, isPlaceholderData } = useJobs({
    search: list.get("search"),
    ...exactly,
    state: states,
    order_by: list.order,
    limit: list.limit,
    offset: list.offset,
  });
  return (
    <Flex direction="column" gap={3}>
      <Flex gap={3} wrap="wrap" align="center">
        <Search
          label="Search by Dag, run or task"
          value={list.get("search")}
          onChange={(search) => list.set({ search })}
        />
        <States chosen={states} choose={(state) => list.set({ state })} />
      </Flex>
      <Exactly list={list} open={Object.keys(exactly).length > 0} />
      {error && <ErrorNote error={error} retry={refetch} stale={data !== undefined} />}
      {!data && !error && <Text role="status">Loading the jobs…</Text>}
      {data && data.items.length === 0 && data.total > 0 && <BeyondTheLast list={list} />}
      {data?.total === 0 && (
        <NoJob
          filtered={FILTERS.some((name) => list.get(name))}
          all={() => list.set(Object.fromEntries(FILTERS.map((name) => [name, undefined])))}
        />
      )}
      {data && data.items.length > 0 && (
        <>
          <Rows
            label="Jobs"
            columns={COLUMNS}
            rows={data.items}
            keyOf={({ id }) => id}
            list={list}
            busy={isPlaceholderData}
          />
          <Pager list={list} total={data.total} what={data.total === 1 ? "job" : "jobs"} />
        </>
      )}
    </Flex>
  );
}

function States({ chosen, choose }: { chosen: readonly JobState[]; choose: (states: JobState[]) => void }) {
  return (
    <Flex role="group" gap={1} wrap="wrap" aria-label="States">
      {Object.entries(STATES).map(([name, { word, meaning }]) => {
        const state = name as JobState;
        const here = chosen.includes(state);
        return (
          <Button
            key={state}
            size="xs"
            variant={here ? "solid" : "outline"}
            aria-pressed={here}
            title={meaning}
            onClick={() => choose(here ? chosen.filter((one) => one !== state) : [...chosen, state])}
          >
            {word}
          </Button>
        );
      })}
    </Flex>
  );
}

function Exactly({ list, open }: { list: ListState; open: boolean }) {
  return (
    <Collapsible.Root defaultOpen={open}>
      <Collapsible.Trigger asChild>
        <Button size="xs" variant="ghost" ms={-2}>
          Only one queue, worker, Dag, run, task or map index <span aria-hidden="true">▾</span>
        </Button>
      </Collapsible.Trigger>
      <Collapsible.Content>
        <Flex gap={2} wrap="wrap" pt={2}>
          {Object.entries(EXACTLY).map(([name, label]) => (
            <Box key={name} w={{ base: "100%", sm: "11rem" }}>
              <Search
                label={label}
                value={list.get(name)}
                onChange={(said) => list.set({ [name]: name === "map_index" ? said.replace(/\D/g, "") : said })}
              />
            </Box>
          ))}
        </Flex>
      </Collapsible.Content>
    </Collapsible.Root>
  );
}

const COLUMNS: readonly Column<Job>[] = [
  { name: "Task", cell: (job) => <What job={job} /> },
  { name: "State", short: true, sort: "state", cell: ({ state }) => <StateOfJob state={state} /> },
  { name: "Queue", short: true, sort: "queue", cell: ({ queue }) => <Text overflowWrap="anywhere">{queue}</Text> },
  {
    name: "Worker",
    cell: ({ worker, state }) => <WorkerName worker={worker} none={isOpen(state) ? "none yet" : "none"} />,
  },
  { name: "Queued", short: true, sort: "-queued_at", cell: ({ queued_at }) => <Time at={queued_at} /> },
  {
    name: "Waited",
    numeric: true,
    cell: (job) => <Time at={job.queued_at} as="for" until={job.started_at ?? job.ended_at} />,
  },
  {
    name: "Ran",
    numeric: true,
    cell: ({ started_at, ended_at }) => <Time at={started_at} as="for" until={ended_at} />,
  },
  { name: "Ended", short: true, sort: "-ended_at", cell: ({ ended_at }) => <Time at={ended_at} /> },
  {
    name: "Journey",
    cell: (job) => {
      const waits = job.state === "queued";
      return (
        <Anchor asChild variant="underline">
          <Link
            to={at("jobs", job.id)}
            aria-label={waits ? `Why it waits: ${nameOf(job)}` : `Journey of ${nameOf(job)}`}
          >
            {waits ? "Why it waits" : "Journey"}
          </Link>
        </Anchor>
      );
    },
  },
];

function What({ job }: { job: Job }) {
  const name = nameOf(job);
  return (
    <Box minW={0} maxW={{ md: "24rem" }}>
      {isTask(job) ? (
        <Anchor asChild variant="underline" fontWeight="semibold" overflowWrap="anywhere">
          <Link to={taskInstance(job)}>{name}</Link>
        </Anchor>
      ) : (
        <Text fontWeight="semibold">{name}</Text>
      )}
      {job.dag_id && (
        <Text fontSize="xs" color="fg.muted" overflowWrap="anywhere">
          <bdi>{job.dag_id}</bdi> · <bdi>{job.run_id}</bdi>
          {job.try_number > 1 && ` · try ${job.try_number}`}
        </Text>
      )}
    </Box>
  );
}

function NoJob({ filtered, all }: { filtered: boolean; all: () => void }) {
  if (filtered) {
    return (
      <Empty title="No job fits">
        Ended jobs are deleted after a while; Airflow keeps its task instances.
        <Box mt={2}>
          <Button size="sm" variant="outline" onClick={all}>
            Show all jobs
          </Button>
        </Box>
      </Empty>
    );
  }
  return (
    <Empty title="No job">
      A job is a task’s try on its way to a worker and back. Run a Dag with the edge executor, and its tasks are here as
      soon as Airflow has queued them. Those that have ended are deleted after a while; Airflow keeps its task
      instances.
    </Empty>
  );
}
