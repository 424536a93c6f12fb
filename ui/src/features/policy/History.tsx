/** Who has set which version, and a way back to one. */
import { Box, Button, Heading, Text } from "@chakra-ui/react";
import type { Schemas } from "../../api/client.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Time } from "../../ui/Time.tsx";
import { useVersion, useVersions } from "./usePolicy.ts";

type Version = Schemas["PolicyVersionDocument"];

/** `take` puts the text of a version into the editor. */
export function History({ take }: { take: (text: string) => void }) {
  const { data, error, refetch } = useVersions();
  const version = useVersion();
  if (error) return <ErrorNote error={error} retry={refetch} stale={data !== undefined} />;
  if (!data?.length) return null;
  const bring = (number: number) => version.mutate(number, { onSuccess: ({ text }) => take(text) });
  return (
    <Box as="section">
      <Heading as="h2" size="md" mb={2}>
        Versions
      </Heading>
      {version.error && <ErrorNote error={version.error} />}
      <Rows label="Versions" columns={columns(bring)} rows={data} keyOf={({ version }) => String(version)} />
    </Box>
  );
}

function columns(bring: (version: number) => void): Column<Version>[] {
  return [
    { name: "Version", short: true, cell: ({ version }) => version },
    { name: "Set", short: true, cell: ({ at }) => <Time at={at} /> },
    { name: "By", short: true, cell: ({ by }) => <bdi>{by}</bdi> },
    {
      name: "Note",
      cell: ({ note }) => (
        <Text overflowWrap="anywhere">
          <bdi>{note}</bdi>
        </Text>
      ),
    },
    {
      name: "Text",
      cell: ({ version }) => (
        <Button size="xs" variant="outline" aria-label={`Edit version ${version}`} onClick={() => bring(version)}>
          Edit…
        </Button>
      ),
    },
  ];
}
