/** What has happened to a worker, the newest first. */
import { Box, Button, Flex, Skeleton, Text } from "@chakra-ui/react";
import { useState } from "react";
import type { Answer } from "../../api/client.ts";
import { useLive } from "../../api/query.ts";
import { Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Said } from "../../ui/Said.tsx";
import { Status, type Tone } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { capital } from "../fleet/facts.ts";

type Event = Answer<"/workers/{name}/events">["items"][number];

const TONES: Readonly<Record<string, Tone>> = {
  enrolled: "good",
  linked: "good",
  back: "good",
  restarted: "busy",
  "out of reach": "bad",
  maintenance: "busy",
  "maintenance ended": "good",
  condition: "warning",
  "condition gone": "good",
  "version refused": "bad",
  "copied key": "bad",
  revoked: "bad",
};
const FIRST = 50;
const MORE = 200;
/** So many are kept of a worker. */
const ALL = 1000;

export function Events({ name }: { name: string }) {
  const [limit, setLimit] = useState(FIRST);
  const { data, error, refetch } = useLive("/workers/{name}/events", {
    path: { name },
    query: { limit },
  });
  return (
    <Box>
      {error && <ErrorNote error={error} retry={refetch} stale={data !== undefined} />}
      {!data && !error && <Skeleton h="12rem" role="status" aria-label="The events are loading" />}
      {data?.items.length === 0 && (
        <Empty title="Nothing has happened yet">
          Its links, orders and by whom, conditions and maintenances are written down here from now on.
        </Empty>
      )}
      <Flex as="ol" listStyleType="none" direction="column">
        {data?.items.map((event) => (
          <Happened key={event.id} event={event} />
        ))}
      </Flex>
      {data && data.total > data.items.length && limit < ALL && (
        <Button size="sm" variant="outline" mt={3} onClick={() => setLimit(Math.min(ALL, limit + MORE))}>
          Show older ones
        </Button>
      )}
    </Box>
  );
}

function Happened({ event: { at, kind, text, by } }: { event: Event }) {
  return (
    <Flex
      as="li"
      columnGap={4}
      rowGap={0}
      py={2}
      wrap="wrap"
      borderBottomWidth={1}
      borderColor="border"
      _last={{ borderBottomWidth: 0 }}
    >
      <Box w="7.5rem" color="fg.muted" fontSize="sm">
        <Time at={at} />
      </Box>
      <Box w="12rem">
        <Status tone={TONES[kind] ?? "quiet"}>{capital(kind)}</Status>
      </Box>
      <Text flex="1 1 14rem" minW={0} overflowWrap="anywhere">
        <Said>{text}</Said>
        {by && (
          <Text as="span" color="fg.muted">
            {text ? ", by " : "By "}
            <bdi>{by}</bdi>
          </Text>
        )}
      </Text>
    </Flex>
  );
}
