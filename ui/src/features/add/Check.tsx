/** What `airflow edge check` finds at the centre, asked for from here. */
import { Box, Button, Flex, Heading, Text } from "@chakra-ui/react";
import { useState } from "react";
import { useLive } from "../../api/query.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Status, type Tone } from "../../ui/Status.tsx";
import type { Finding } from "../documents.ts";

const MARKS: Readonly<Record<Finding["status"], { word: string; tone: Tone }>> = {
  error: { word: "Wrong", tone: "bad" },
  warning: { word: "Note", tone: "warning" },
  ok: { word: "OK", tone: "good" },
};
const ORDER = Object.keys(MARKS);

export function Check() {
  const [asked, setAsked] = useState(false);
  const { data, error, isFetching, refetch } = useLive("/check", {}, { every: false, enabled: asked });
  const found = data
    ? data.findings.toSorted((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status))
    : [];
  return (
    <Box as="section" aria-labelledby="check">
      <Heading as="h2" size="md" mb={1} id="check">
        Check this centre
      </Heading>
      <Text color="fg.muted" fontSize="sm" mb={3}>
        Settings, database, gateway and logs, as <code>airflow edge check</code> sees them. It takes a few seconds.
      </Text>
      <Button
        size="sm"
        variant="outline"
        loading={isFetching}
        loadingText="Checking…"
        onClick={() => (asked ? refetch() : setAsked(true))}
      >
        {data ? "Check again" : "Check"}
      </Button>
      <Box aria-live="polite" mt={3}>
        {error && <ErrorNote error={error} retry={refetch} />}
        {data && (
          <Flex as="ul" direction="column" gap={2} listStyleType="none">
            {found.map(({ name, status, text, advice }) => (
              <Flex as="li" key={`${name} ${text}`} gap={3} align="baseline">
                <Box minW="4.5rem" fontSize="sm">
                  <Status tone={MARKS[status].tone}>{MARKS[status].word}</Status>
                </Box>
                <Text fontSize="sm" overflowWrap="anywhere" minW={0}>
                  {text}
                  {advice && (
                    <Text as="span" fontWeight="semibold">
                      {" "}
                      {advice}
                    </Text>
                  )}
                </Text>
              </Flex>
            ))}
          </Flex>
        )}
      </Box>
    </Box>
  );
}
