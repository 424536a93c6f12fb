/** One job: what it is, where it is, and how it came there. */
import { Link as Anchor, Box, Button, chakra, Flex, Heading, SimpleGrid, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link, useParams } from "react-router-dom";
import { at, taskInstance } from "../../place.ts";
import { Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Said } from "../../ui/Said.tsx";
import { Time } from "../../ui/Time.tsx";
import type { JobWithJourney } from "../documents.ts";
import { Explained } from "../why/Explained.tsx";
import { Journey } from "./Journey.tsx";
import { exitOf, isOpen, isTask, nameOf } from "./job.ts";
import { QueueLink } from "./QueueLink.tsx";
import { StateOfJob } from "./StateOfJob.tsx";
import { TestLog } from "./TestLog.tsx";
import { useJob } from "./useJobs.ts";
import { WorkerName } from "./WorkerName.tsx";

export function Job() {
  const { id = "" } = useParams();
  const { data: job, error, refetch } = useJob(id);
  if (error?.status === 404) {
    return (
      <Empty title="There is no such job any more">
        {error.message}{" "}
        <Anchor asChild variant="underline">
          <Link to={at("jobs")}>All jobs</Link>
        </Anchor>
      </Empty>
    );
  }
  return (
    <Flex direction="column" gap={5} maxW="60rem">
      {error && <ErrorNote error={error} retry={refetch} />}
      {!job && !error && <Text role="status">Loading the job…</Text>}
      {job && (
        <>
          <Flex gap={3} align="center" wrap="wrap">
            <Heading as="h2" size="lg" overflowWrap="anywhere">
              {nameOf(job)}
            </Heading>
            <StateOfJob state={job.state} />
            {isTask(job) && (
              <Button asChild size="xs" variant="outline" ms={{ sm: "auto" }}>
                <Link to={taskInstance(job)}>Task instance and its log</Link>
              </Button>
            )}
          </Flex>
          {/* What was denied stands below, also when it is over. */}
          {job.explanation && <Explained {...job.explanation} denied={[]} queue={job.queue} />}
          <Facts job={job} />
          <Denied lines={job.denied} />
          <Box as="section" aria-labelledby="journey">
            <Heading as="h3" size="sm" mb={3} id="journey">
              Journey
            </Heading>
            <Journey job={job} />
            <TestLog lines={job.log} />
          </Box>
        </>
      )}
    </Flex>
  );
}

/** What the policy has denied it. */
function Denied({ lines }: { lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return (
    <Box as="section" aria-labelledby="denied">
      <Heading as="h3" size="sm" mb={2} id="denied">
        Denied
      </Heading>
      <Flex as="ul" listStyleType="none" direction="column" gap={1} fontSize="sm" overflowWrap="anywhere">
        {lines.map((line) => (
          <li key={line}>
            <Said>{line}</Said>
          </li>
        ))}
      </Flex>
    </Box>
  );
}

function Facts({ job }: { job: JobWithJourney }) {
  const facts: [string, ReactNode][] = [
    ["Dag", job.dag_id],
    ["Run", job.run_id],
    ["Try", isTask(job) ? job.try_number : null],
    ["Queue", <QueueLink key="queue" queue={job.queue} />],
    ["Team", job.team_name],
    ["Worker", <WorkerName key="worker" worker={job.worker} none={isOpen(job.state) ? "none yet" : "none"} />],
    ["Slots", job.slots],
    ["Priority", job.priority_weight],
    ["Waited", <Time key="waited" at={job.queued_at} as="for" until={job.started_at ?? job.ended_at} />],
    ["Ran", job.started_at && <Time key="ran" at={job.started_at} as="for" until={job.ended_at} />],
    ["Process ended with", exitOf(job)],
    ["Reason", job.reason],
    ["Airflow’s state", job.task_state],
  ];
  return (
    <SimpleGrid as="dl" minChildWidth="11rem" gap={3} m={0}>
      {facts
        .filter(([, value]) => value !== null && value !== "")
        .map(([name, value]) => (
          <Box key={name} minW={0}>
            <chakra.dt fontSize="xs" color="fg.muted">
              {name}
            </chakra.dt>
            <chakra.dd m={0} fontSize="sm" overflowWrap="anywhere">
              {value}
            </chakra.dd>
          </Box>
        ))}
    </SimpleGrid>
  );
}
