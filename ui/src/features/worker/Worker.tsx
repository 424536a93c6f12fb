/** One worker: how it is, what it does, what happened to it, who it is, and all that can be done with it. */
import { Link as Anchor, Box, Button, Flex, Heading, Skeleton, Tabs, Text } from "@chakra-ui/react";
import { type RefObject, useRef, useState } from "react";
import { Link, useParams } from "react-router-dom";
import { usePermissions } from "../../api/permissions.ts";
import { useLive } from "../../api/query.ts";
import { at } from "../../place.ts";
import { Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { useList } from "../../ui/list.ts";
import { Status } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { count } from "../../words.ts";
import { TaskLink } from "../fleet/cells.tsx";
import type { WholeWorker } from "../fleet/documents.ts";
import { SEVERITY_COLOUR, SEVERITY_TONE, SEVERITY_WORD } from "../fleet/facts.ts";
import { Remark } from "../fleet/Remark.tsx";
import { ActDialog } from "./ActDialog.tsx";
import { ActMenu } from "./ActMenu.tsx";
import { ACTS, type Act } from "./acts.ts";
import { Charts } from "./Charts.tsx";
import { Events } from "./Events.tsx";
import { Facts } from "./Facts.tsx";
import { Identity } from "./Identity.tsx";
import { Log } from "./Log.tsx";
import { WorkerJobs } from "./WorkerJobs.tsx";

const TABS = { overview: "Overview", jobs: "Jobs", events: "Events", log: "Log" } as const;

export function Worker() {
  const { name = "" } = useParams();
  const found = useLive("/workers/{name}", { path: { name } });
  const { change: may } = usePermissions();
  const { data: worker, error } = found;
  const [act, begin] = useState<Act>();
  const [renamed, rename] = useState<string>();
  const menu = useRef<HTMLButtonElement>(null);
  const gone = error?.status === 404;
  return (
    <Flex direction="column" gap={5}>
      {gone && <Gone name={name} renamed={renamed} />}
      {error && !gone && <ErrorNote error={error} retry={found.refetch} stale={worker !== undefined} />}
      {worker && !gone && <Known worker={worker} offered={may ? begin : undefined} menu={menu} />}
      {!worker && !error && <Waiting name={name} />}
      {/* Beside the rest: what came of a removal is still to be read when there is no worker any more. */}
      {act && worker && (
        <ActDialog
          act={act}
          target={{ workers: [worker.name] }}
          count={1}
          worker={worker}
          onActed={(values) => act.id === "rename" && rename(String(values.name).trim())}
          onClose={() => begin(undefined)}
          focusAfter={() => menu.current}
        />
      )}
    </Flex>
  );
}

function Gone({ name, renamed }: { name: string; renamed: string | undefined }) {
  return (
    <Empty title={`There is no worker '${name}'`}>
      <Text mb={4}>
        {renamed
          ? `It is called '${renamed}' now.`
          : "It was renamed or removed, or belongs to a team that is not yours."}
      </Text>
      <Button asChild size="sm" variant="outline">
        {renamed ? <Link to={at("workers", renamed)}>{`To ${renamed}`}</Link> : <Link to={at()}>To the fleet</Link>}
      </Button>
    </Empty>
  );
}

function Waiting({ name }: { name: string }) {
  return (
    <Flex direction="column" gap={4} role="status" aria-label={`Worker ${name} is loading`}>
      <Skeleton h="2.25rem" w="16rem" />
      <Skeleton h="4rem" />
      <Skeleton h="20rem" />
    </Flex>
  );
}

type KnownProps = {
  worker: WholeWorker;
  /** Called with what somebody wants to do with it; nothing is offered to who may not. */
  offered: ((act: Act) => void) | undefined;
  menu: RefObject<HTMLButtonElement | null>;
};

function Known({ worker, offered, menu }: KnownProps) {
  const list = useList({ order: "" });
  const tab = list.get("tab") in TABS ? list.get("tab") : "overview";
  return (
    <>
      <Head worker={worker} offered={offered} menu={menu} />
      <Facts worker={worker} />
      <Remarks worker={worker} offered={offered} />
      <Tabs.Root
        value={tab}
        onValueChange={({ value }) => list.set({ tab: value === "overview" ? undefined : value })}
        variant="line"
        lazyMount
        unmountOnExit
      >
        <Tabs.List>
          {Object.entries(TABS).map(([id, label]) => (
            <Tabs.Trigger key={id} value={id}>
              {label}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        <Tabs.Content value="overview">
          <Flex gap={5} direction={{ base: "column", xl: "row" }} align="stretch">
            <Flex direction="column" gap={5} flex="1 1 0" minW={0}>
              <Running worker={worker} />
              <Charts name={worker.name} />
            </Flex>
            <Box w={{ base: "100%", xl: "24rem" }} flexShrink={0}>
              <Identity worker={worker} />
            </Box>
          </Flex>
        </Tabs.Content>
        <Tabs.Content value="jobs">
          <WorkerJobs name={worker.name} />
        </Tabs.Content>
        <Tabs.Content value="events">
          <Events name={worker.name} />
        </Tabs.Content>
        <Tabs.Content value="log">
          <Log name={worker.name} may={offered !== undefined} linked={worker.link === "linked"} />
        </Tabs.Content>
      </Tabs.Root>
    </>
  );
}

function Head({ worker, offered, menu }: KnownProps) {
  const acts = ACTS.filter((one) => one.offered(worker));
  const first = acts.find(({ id }) => id === "maintenance" || id === "exit");
  return (
    <Flex align="center" gap={3} wrap="wrap">
      <Box me="auto" minW={0}>
        <Anchor asChild variant="underline" fontSize="sm" color="fg.muted">
          <Link to={at()}>Fleet</Link>
        </Anchor>
        <Heading as="h2" size="xl" overflowWrap="anywhere">
          {worker.name}
        </Heading>
        <Text fontSize="sm" color="fg.muted" overflowWrap="anywhere">
          {[worker.host_name, worker.address].filter(Boolean).join(" at ")}
        </Text>
      </Box>
      {offered && (
        <Flex gap={2} wrap="wrap">
          {first && (
            <Button size="sm" variant="outline" onClick={() => offered(first)}>
              {first.label}…
            </Button>
          )}
          <ActMenu label="More actions" acts={acts.filter((one) => one !== first)} onAct={offered} button={menu} />
        </Flex>
      )}
    </Flex>
  );
}

/** What mends it from here, where something does: a stolen key is refused from then on. */
const MENDED_BY: Readonly<Record<string, string>> = { "copied key": "revoke", "team deleted": "revoke" };

/** What is said of it, the worst first. */
function Remarks({ worker, offered }: Omit<KnownProps, "menu">) {
  if (worker.attention.length === 0) return null;
  return (
    <Box as="section" aria-label="Needs attention">
      <Flex as="ul" listStyleType="none" direction="column" gap={2}>
        {worker.attention.map((remark) => {
          const act = ACTS.find(({ id }) => id === MENDED_BY[remark.kind]);
          return (
            <Flex
              as="li"
              key={remark.kind}
              gap={3}
              align="start"
              wrap={{ base: "wrap", md: "nowrap" }}
              px={3}
              py={2}
              borderWidth={1}
              borderColor="border"
              borderStartWidth={4}
              borderStartColor={SEVERITY_COLOUR[remark.severity]}
              rounded="md"
            >
              <Box w="5.5rem" flexShrink={0} fontSize="sm" lineHeight="1.5rem" fontWeight="medium">
                <Status tone={SEVERITY_TONE[remark.severity]}>{SEVERITY_WORD[remark.severity]}</Status>
              </Box>
              <Box flex="1 1 16rem" minW={0}>
                <Remark {...remark} sentence={`it ${remark.sentence}`} />
              </Box>
              {offered && act && (
                <Button size="sm" variant="outline" flexShrink={0} onClick={() => offered(act)}>
                  {act.label}…
                </Button>
              )}
            </Flex>
          );
        })}
      </Flex>
    </Box>
  );
}

function Running({ worker: { jobs, tasks } }: { worker: WholeWorker }) {
  const list = useList({ order: "" });
  return (
    <Box as="section" aria-labelledby="edge-running">
      <Heading as="h3" size="sm" id="edge-running" mb={2}>
        Running now
        <Text as="span" ms={2} fontWeight="normal" color="fg.muted">
          {jobs}
        </Text>
      </Heading>
      {jobs === 0 && <Text color="fg.muted">No task runs there.</Text>}
      {tasks.length > 0 && (
        <Box as="ul" listStyleType="none" borderWidth={1} borderColor="border" rounded="md">
          {tasks.map((task) => (
            <Flex
              as="li"
              key={task.job_id}
              justify="space-between"
              gap={3}
              px={3}
              py={1.5}
              borderTopWidth={1}
              borderColor="border"
              _first={{ borderTopWidth: 0 }}
            >
              <Box minW={0} overflowWrap="anywhere" textDecoration="underline" textUnderlineOffset="3px">
                <TaskLink task={task} />
              </Box>
              <Box color="fg.muted" fontSize="sm" flexShrink={0}>
                {task.started_at ? (
                  <>
                    for <Time at={task.started_at} as="for" />
                  </>
                ) : (
                  "offered"
                )}
              </Box>
            </Flex>
          ))}
        </Box>
      )}
      {jobs > tasks.length && (
        <Button size="xs" variant="ghost" mt={1} onClick={() => list.set({ tab: "jobs" })}>
          and {count(jobs - tasks.length, "other")}
        </Button>
      )}
    </Box>
  );
}
