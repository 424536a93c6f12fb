/** The end of a test job's log; nothing of other jobs, whose logs Airflow shows. */
import { Code } from "@chakra-ui/react";

export function TestLog({ lines }: { lines: readonly string[] | null | undefined }) {
  if (!lines?.length) return null;
  return (
    <Code
      as="pre"
      aria-label="The end of its log"
      role="group"
      display="block"
      w="full"
      p={3}
      mb={2}
      fontSize="xs"
      whiteSpace="pre-wrap"
      overflowWrap="anywhere"
    >
      {lines.join("\n")}
    </Code>
  );
}
