/** A job's way to a worker and back, step by step. */
import { Box, chakra, Flex, Text } from "@chakra-ui/react";
import { Mark, type Tone } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import type { JobWithJourney } from "../documents.ts";
import { capital, type JobState, journeyOf } from "./job.ts";
import { WorkerName } from "./WorkerName.tsx";

/** What stands at the end of a journey that is not over. */
const NOW: Readonly<Partial<Record<JobState, string>>> = {
  queued: "Waits for a worker",
  leased: "Waits for the worker’s answer",
  running: "Runs",
};

export function Journey({ job }: { job: Pick<JobWithJourney, "journey" | "state"> }) {
  const steps = journeyOf(job.journey, job.state);
  const now = NOW[job.state];
  return (
    <chakra.ol aria-label="Journey of the job" listStyleType="none" m={0} p={0} maxW="40rem" fontSize="sm">
      {steps.map((step, index) => (
        <Flex as="li" key={step.key} gap={3} minW={0}>
          <Rail last={index === steps.length - 1 && !now} tone={step.tone} />
          <Box pb={4} minW={0} flex="1">
            <Flex gap={2} align="baseline" wrap="wrap">
              <Text fontWeight="semibold">{capital(step.event)}</Text>
              {step.worker && (
                <Text as="span" fontSize="sm">
                  <WorkerName worker={step.worker} />
                </Text>
              )}
              {step.assignment !== null && step.event === "offered" && (
                <Text as="span" fontSize="xs" color="fg.muted">
                  assignment {step.assignment}
                </Text>
              )}
              <Text as="span" fontSize="xs" color="fg.muted" ms={{ sm: "auto" }}>
                {step.after && `${step.after} later · `}
                <Time at={step.at} />
              </Text>
            </Flex>
            {step.text && (
              <Text fontSize="sm" color="fg.muted" overflowWrap="anywhere">
                {step.text}
              </Text>
            )}
          </Box>
        </Flex>
      ))}
      {now && (
        <Flex as="li" gap={3}>
          <Rail last tone="busy" />
          <Text color="fg.muted" fontSize="sm">
            {now}
          </Text>
        </Flex>
      )}
    </chakra.ol>
  );
}

function Rail({ tone, last }: { tone: Tone; last: boolean }) {
  return (
    <Flex aria-hidden="true" direction="column" align="center" flexShrink={0} w={4} fontSize="lg">
      <Flex h={5} align="center">
        <Mark tone={tone} />
      </Flex>
      {!last && <Box flex="1" w="2px" minH={3} bg="border" />}
    </Flex>
  );
}
