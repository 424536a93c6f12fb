/** The queues: what waits in each, who serves it, and what keeps it from being served. */
import { Alert, Link as Anchor, Badge, Box, Button, Flex, Text } from "@chakra-ui/react";
import { useState } from "react";
import { Link } from "react-router-dom";
import { usePermissions } from "../../api/permissions.ts";
import { at } from "../../place.ts";
import { Command } from "../../ui/Copy.tsx";
import { Pager } from "../../ui/DataTable.tsx";
import { BeyondTheLast, Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Choice, Search } from "../../ui/Filters.tsx";
import { useList } from "../../ui/list.ts";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Said, sentenceOf } from "../../ui/Said.tsx";
import { Time } from "../../ui/Time.tsx";
import { count } from "../../words.ts";
import type { Queue } from "../documents.ts";
import { PauseDialog } from "./PauseDialog.tsx";
import { keyOfQueue, NAMED, rate, serving, unready } from "./queue.ts";
import { useQueues, useResume } from "./useQueues.ts";

/** What may be wrong with a queue, by the API's names. */
const ATTENTION = [
  { value: "queue nobody serves", label: "Nobody serves it" },
  { value: "queue without ready worker", label: "No worker is ready" },
  { value: "queue full", label: "All slots are taken" },
  { value: "paused queue with waiting jobs", label: "Paused while jobs wait" },
];
const ALL = { search: undefined, queue: undefined, attention: undefined };

export function Queues() {
  const list = useList({ order: "-queued" });
  const { change, multi_team } = usePermissions();
  const [pausing, setPausing] = useState<Queue>();
  // A link to one queue finds it, and those that are called alike.
  const search = list.get("search") || list.get("queue");
  const attention = list.get("attention");
  const { data, error, refetch, isPlaceholderData } = useQueues({
    search,
    attention,
    order_by: list.order,
    limit: list.limit,
    offset: list.offset,
  });
  return (
    <Flex direction="column" gap={3}>
      <Flex gap={3} wrap="wrap" align="center">
        <Search
          label="Search queues"
          value={search}
          onChange={(words) => list.set({ search: words, queue: undefined })}
        />
        <Choice
          label="Needs attention"
          any="Any"
          value={attention}
          onChange={(kind) => list.set({ attention: kind })}
          options={ATTENTION}
        />
      </Flex>
      {error && <ErrorNote error={error} retry={refetch} stale={data !== undefined} />}
      {!data && !error && <Text role="status">Loading the queues…</Text>}
      {data && data.items.length === 0 && data.total > 0 && <BeyondTheLast list={list} />}
      {data?.total === 0 && <NoQueue filtered={Boolean(search || attention)} all={() => list.set(ALL)} />}
      {data && data.items.length > 0 && (
        <>
          <Rows
            label="Queues"
            columns={columns(multi_team, change ? setPausing : undefined)}
            rows={data.items}
            keyOf={keyOfQueue}
            list={list}
            busy={isPlaceholderData}
            below={(queue) => queue.attention && <Attention queue={queue} mend={change} />}
          />
          <Text fontSize="xs" color="fg.muted">
            In and out: jobs a minute, over the last five minutes.
          </Text>
          <Pager list={list} total={data.total} what={data.total === 1 ? "queue" : "queues"} />
        </>
      )}
      {pausing && <PauseDialog queue={pausing} close={() => setPausing(undefined)} />}
    </Flex>
  );
}

function columns(teams: boolean, pause: ((queue: Queue) => void) | undefined): Column<Queue>[] {
  return [
    { name: "Queue", sort: "queue", cell: (queue) => <Name queue={queue} /> },
    ...(teams ? [{ name: "Team", cell: (queue: Queue) => queue.team_name ?? <Muted>none</Muted> }] : []),
    {
      name: "Waiting",
      sort: "-queued",
      numeric: true,
      cell: (queue) => <Jobs queue={queue} amount={queue.queued} state={["queued"]} what="waiting" />,
    },
    {
      name: "Oldest",
      sort: "oldest_queued_at",
      numeric: true,
      cell: ({ oldest_queued_at: oldest }) => <Time at={oldest} as="for" />,
    },
    {
      name: "Running",
      sort: "-running",
      numeric: true,
      cell: (queue) => <Jobs queue={queue} amount={queue.running} state={["leased", "running"]} what="running" />,
    },
    { name: "In / min", sort: "-in_rate", numeric: true, cell: ({ in_rate }) => rate(in_rate) },
    { name: "Out / min", sort: "-out_rate", numeric: true, cell: ({ out_rate }) => rate(out_rate) },
    { name: "Served by", sort: "-free_slots", cell: (queue) => <Servers queue={queue} /> },
    ...(pause ? [{ name: "Change", cell: (queue: Queue) => <Hold queue={queue} pause={pause} /> }] : []),
  ];
}

function Muted({ children }: { children: string }) {
  return (
    <Text as="span" color="fg.muted">
      {children}
    </Text>
  );
}

function Name({ queue }: { queue: Queue }) {
  const { paused } = queue;
  return (
    <>
      <Text as="span" fontWeight="semibold" overflowWrap="anywhere">
        <bdi>{queue.queue}</bdi>
      </Text>
      {paused && (
        <Box mt={1}>
          <Badge colorPalette="orange" variant="surface">
            Paused
          </Badge>
          <Text fontSize="xs" color="fg.muted" maxW="22rem" overflowWrap="anywhere">
            {paused.note && (
              <>
                “<bdi>{paused.note}</bdi>”,{" "}
              </>
            )}
            <bdi>{paused.by}</bdi>, <Time at={paused.since} />
          </Text>
        </Box>
      )}
    </>
  );
}

function Jobs({ queue, amount, state, what }: { queue: Queue; amount: number; state: string[]; what: string }) {
  if (!amount) return <Muted>0</Muted>;
  const asked = new URLSearchParams([["queue", queue.queue], ...state.map((one) => ["state", one])]);
  return (
    <Anchor asChild variant="underline" fontWeight="semibold">
      <Link to={`${at("jobs")}?${asked}`} aria-label={`${count(amount, "job")} ${what} in queue ${queue.queue}`}>
        {amount.toLocaleString("en")}
      </Link>
    </Anchor>
  );
}

function Servers({ queue }: { queue: Queue }) {
  const named = queue.served_by.slice(0, NAMED);
  const others = queue.workers - named.length;
  const why = unready(queue.unready);
  return (
    <>
      <Text fontWeight={queue.workers ? "normal" : "semibold"} {...(!queue.workers && { color: "red.fg" })}>
        {serving(queue)}
      </Text>
      {why && (
        <Text fontSize="xs" color="orange.fg">
          {why}
        </Text>
      )}
      {named.length > 0 && (
        <Text fontSize="xs" color="fg.muted" overflowWrap="anywhere">
          {named.map(({ worker }, index) => (
            <span key={worker}>
              {index > 0 && ", "}
              <Anchor asChild variant="underline">
                <Link to={at("workers", worker)}>
                  <bdi>{worker}</bdi>
                </Link>
              </Anchor>
            </span>
          ))}
          {others > 0 && (
            <>
              {" and "}
              <Anchor asChild variant="underline">
                <Link to={`${at()}?queue=${encodeURIComponent(queue.queue)}`}>{others} more</Link>
              </Anchor>
            </>
          )}
        </Text>
      )}
    </>
  );
}

function Hold({ queue, pause }: { queue: Queue; pause: (queue: Queue) => void }) {
  const resume = useResume();
  if (!queue.paused) {
    return (
      <Button size="xs" variant="outline" onClick={() => pause(queue)} aria-label={`Pause queue ${queue.queue}`}>
        Pause…
      </Button>
    );
  }
  return (
    <>
      <Button
        size="xs"
        variant="outline"
        loading={resume.isPending}
        onClick={() => resume.mutate(queue)}
        aria-label={`Resume queue ${queue.queue}`}
      >
        Resume
      </Button>
      {resume.error && (
        <Text role="alert" fontSize="xs" color="red.fg" maxW="16rem">
          {resume.error.message}
        </Text>
      )}
    </>
  );
}

function Attention({ queue, mend }: { queue: Queue; mend: boolean }) {
  // A pause has its own words beside the name.
  if (!queue.attention || queue.paused) return null;
  const { severity, sentence, why, command } = queue.attention;
  const said = (
    <>
      <Said>{sentence}</Said>
      {why && (
        <>
          {" "}
          <Said>{sentenceOf(why)}</Said>
        </>
      )}
    </>
  );
  const unserved = !queue.workers;
  if (severity === "info") {
    return (
      <Text fontSize="sm" color="fg.muted" overflowWrap="anywhere">
        {said}
      </Text>
    );
  }
  return (
    <Alert.Root status={severity} size="sm" alignItems="start">
      <Alert.Indicator />
      <Alert.Content gap={2} minW={0}>
        <Alert.Description overflowWrap="anywhere">{said}</Alert.Description>
        {mend && (command || unserved) && (
          <Flex gap={2} wrap="wrap" align="center" minW={0}>
            {unserved && (
              <Button asChild size="xs" variant="solid">
                <Link
                  to={`${at("add")}?${new URLSearchParams([["queues", queue.queue], ...(queue.team_name ? [["team", queue.team_name]] : [])])}`}
                >
                  Add a worker for it
                </Link>
              </Button>
            )}
            {command && (
              <Box minW={0} maxW="100%">
                <Command text={command} what={`the command for queue ${queue.queue}`} />
              </Box>
            )}
          </Flex>
        )}
      </Alert.Content>
    </Alert.Root>
  );
}

function NoQueue({ filtered, all }: { filtered: boolean; all: () => void }) {
  if (filtered) {
    return (
      <Empty title="No queue fits">
        <Button size="sm" variant="outline" mt={2} onClick={all}>
          Show all queues
        </Button>
      </Empty>
    );
  }
  return (
    <Empty title="No queue yet">
      A queue is here as soon as a worker serves it or a task with <code>queue="…"</code> waits in it. Begin with a
      worker:{" "}
      <Anchor asChild variant="underline">
        <Link to={at("add")}>add one</Link>
      </Anchor>
      .
    </Empty>
  );
}
