/** A job on request, for nothing but to see one go there and back. */
import { Box, Button, Text } from "@chakra-ui/react";
import { useMutation } from "@tanstack/react-query";
import type { Problem } from "../../api/client.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { postSoon } from "../contract.ts";
import { Journey } from "../jobs/Journey.tsx";
import { isOpen } from "../jobs/job.ts";
import { useJob } from "../jobs/useJobs.ts";

export function TestJob({ worker }: { worker: string }) {
  const test = useMutation<{ job_id: string }, Problem>({
    mutationFn: () => postSoon("/workers/{name}/test", undefined, { path: { name: worker } }),
  });
  return (
    <Box>
      <Button size="xs" variant="outline" loading={test.isPending} onClick={() => test.mutate()}>
        {test.data ? "Run another test job" : "Run a test job there"}
      </Button>
      {test.error && (
        <Box mt={2}>
          <ErrorNote error={test.error} />
        </Box>
      )}
      {test.data && <Result id={test.data.job_id} />}
    </Box>
  );
}

function Result({ id }: { id: string }) {
  const { data: job, error } = useJob(id, { every: 1000 });
  if (error) return <ErrorNote error={error} />;
  if (!job) return null;
  return (
    <Box mt={3}>
      <Text fontWeight="semibold" mb={2} aria-live="polite">
        {isOpen(job.state)
          ? "The test job is on its way"
          : job.state === "succeeded"
            ? "The test job went there and back"
            : "The test job did not succeed"}
      </Text>
      <Journey job={job} />
    </Box>
  );
}
