/** What tasks asked for lately that no rule grants. */
import { Box, Code, Heading, Text } from "@chakra-ui/react";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { type Column, Rows } from "../../ui/Rows.tsx";
import type { Use } from "./policy.ts";
import { DAYS, MOST_DENIED, useDenied } from "./usePolicy.ts";

export function Denied() {
  const { data, error, refetch } = useDenied();
  return (
    <Box as="section" aria-label="Denied">
      <Heading as="h2" size="md" mb={1}>
        Denied, or would have been
      </Heading>
      <Text color="fg.muted" fontSize="sm" mb={3}>
        What tasks asked for in the last {DAYS} days and no rule grants. Where the mode is report they got it all the
        same.
      </Text>
      {error && <ErrorNote error={error} retry={refetch} stale={data !== undefined} />}
      {data && !data.length && <Text fontSize="sm">Nothing.</Text>}
      {data && data.length > 0 && (
        <Rows label="Denied, or would have been" columns={COLUMNS} rows={data} keyOf={keyOf} />
      )}
      {data?.length === MOST_DENIED && (
        <Text fontSize="sm" mt={2}>
          These are the first {MOST_DENIED}; all of them: <Code>airflow edge policy suggest</Code>, or the REST API.
        </Text>
      )}
    </Box>
  );
}

const COLUMNS: readonly Column<Use>[] = [
  {
    name: "Task",
    cell: ({ dag_id, task_id }) => (
      <Text overflowWrap="anywhere">
        <bdi>{dag_id}</bdi>
        {task_id && (
          <>
            .<bdi>{task_id}</bdi>
          </>
        )}
      </Text>
    ),
  },
  {
    name: "Queue",
    cell: ({ queue, team_name }) => (
      <>
        <bdi>{queue}</bdi>
        {team_name && (
          <>
            {" "}
            (<bdi>{team_name}</bdi>)
          </>
        )}
      </>
    ),
  },
  { name: "Asked for", short: true, cell: ({ kind }) => kind },
  {
    name: "Name",
    cell: ({ name }) => (
      <Code size="sm" whiteSpace="pre-wrap" overflowWrap="anywhere">
        <bdi>{name}</bdi>
      </Code>
    ),
  },
  { name: "Times", numeric: true, cell: ({ denied }) => denied.toLocaleString("en") },
  { name: "Last", short: true, cell: ({ last_day }) => <time dateTime={last_day}>{last_day}</time> },
];

function keyOf({ team_name, queue, dag_id, task_id, kind, name }: Use): string {
  return JSON.stringify([team_name, queue, dag_id, task_id, kind, name]);
}
