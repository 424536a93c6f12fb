/** A job on request, for nothing but to see one go there and back. */
import { Box, Button, Text } from "@chakra-ui/react";
import { useMutation } from "@tanstack/react-query";
import { Link } from "react-router-dom";
import { api, type Problem } from "../../api/client.ts";
import { at } from "../../place.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import type { Outcome } from "../../ui/Outcomes.tsx";
import { Status } from "../../ui/Status.tsx";
import { Journey } from "../jobs/Journey.tsx";
import { isOpen } from "../jobs/job.ts";
import { TestLog } from "../jobs/TestLog.tsx";
import { useJob } from "../jobs/useJobs.ts";

/** So often it is looked at while it is on its way. */
const EVERY = 1000;

export function TestJob({ worker }: { worker: string }) {
  const test = useMutation<Outcome | undefined, Problem>({
    mutationFn: async () => {
      const [outcome] = await api.post("/workers/{name}/test", undefined, { path: { name: worker } });
      return outcome;
    },
  });
  const asked = test.data;
  return (
    <Box>
      <Button size="xs" variant="outline" loading={test.isPending} onClick={() => test.mutate()}>
        {asked ? "Run another test job" : "Run a test job there"}
      </Button>
      <Box aria-live="polite">
        {test.error && (
          <Box mt={2}>
            <ErrorNote error={test.error} />
          </Box>
        )}
        {asked?.result === "refused" && (
          <Box mt={2}>
            <Status tone="bad">
              {asked.worker}: {asked.detail}
            </Status>
          </Box>
        )}
        {asked?.job_id && <Result id={asked.job_id} />}
      </Box>
    </Box>
  );
}

function Result({ id }: { id: string }) {
  const { data: job, error } = useJob(id, { every: EVERY });
  if (error && !job) return <ErrorNote error={error} />;
  if (!job) return null;
  const open = isOpen(job.state);
  return (
    <Box mt={3}>
      <Text fontWeight="semibold" mb={2}>
        {open
          ? "The test job is on its way"
          : job.state === "succeeded"
            ? "The test job went there and back"
            : "The test job did not end well"}
      </Text>
      <Journey job={job} />
      {open && job.explanation && <Text fontSize="sm">{job.explanation.sentence}</Text>}
      {!open && job.reason && <Text mb={2}>{job.reason}</Text>}
      <TestLog lines={job.log} />
      <Button asChild size="xs" variant="plain" px={0}>
        <Link to={at("jobs", id)}>Look at the job</Link>
      </Button>
    </Box>
  );
}
