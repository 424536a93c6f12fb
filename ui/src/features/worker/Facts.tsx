/** How a worker is, each fact apart. */
import { Box, Flex, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Bar } from "../../ui/Bar.tsx";
import { Status } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import type { WholeWorker } from "../fleet/documents.ts";
import { capital, LINK_TONE, STANCE_TONE } from "../fleet/facts.ts";

export function Facts({ worker }: { worker: WholeWorker }) {
  const { link, stance, load, agent_version, version_refused, version_warning } = worker;
  return (
    <Flex as="dl" wrap="wrap" columnGap={8} rowGap={3}>
      <Fact name="Link" more={<LinkMore worker={worker} />}>
        <Status tone={LINK_TONE[link]}>{capital(link)}</Status>
      </Fact>
      {/* That it is away, and how, is what its link says. */}
      {(stance !== "away" || worker.order_waiting) && (
        <Fact name="Stance" more={<StanceMore worker={worker} />}>
          {stance === "away" ? "–" : <Status tone={STANCE_TONE[stance]}>{capital(stance)}</Status>}
        </Fact>
      )}
      <Fact name="Load" more={<Bar used={worker.taken_slots} of={worker.concurrency} label="slots taken" />}>
        {capital(load)}
      </Fact>
      <Fact name="Version" more={worker.airflow_version && `Airflow ${worker.airflow_version}`}>
        {version_refused || version_warning ? (
          <Status tone={version_refused ? "bad" : "warning"}>
            {agent_version} {version_refused ? "refused" : "differs"}
          </Status>
        ) : (
          (agent_version ?? "–")
        )}
      </Fact>
      <Fact
        name="Queues"
        more={worker.team && `Team ${worker.team}${worker.team_deleted ? ", which was deleted" : ""}`}
      >
        {worker.queues.join(", ") || "None"}
      </Fact>
    </Flex>
  );
}

function Fact({ name, more, children }: { name: string; more?: ReactNode; children: ReactNode }) {
  return (
    <Box minW={0} maxW="24rem">
      <Text as="dt" fontSize="xs" color="fg.muted">
        {name}
      </Text>
      <Box as="dd" fontWeight="medium" overflowWrap="anywhere">
        {children}
      </Box>
      {more && (
        <Box as="dd" fontSize="sm" color="fg.muted" overflowWrap="anywhere">
          {more}
        </Box>
      )}
    </Box>
  );
}

function LinkMore({ worker: { link, linked_at, last_seen_at, running_jobs_lost_after } }: { worker: WholeWorker }) {
  if (link === "linked") {
    return linked_at ? (
      <>
        for <Time at={linked_at} as="for" />
      </>
    ) : null;
  }
  return (
    <>
      {last_seen_at ? (
        <>
          last heard <Time at={last_seen_at} />
        </>
      ) : (
        "never heard from"
      )}
      {running_jobs_lost_after && (
        <>
          ; its tasks count as lost <Time at={running_jobs_lost_after} />
        </>
      )}
    </>
  );
}

function StanceMore({ worker }: { worker: WholeWorker }) {
  const { stance, maintenance_comment, maintenance_by, maintenance_until, order_waiting } = worker;
  return (
    <>
      {stance === "maintenance" && maintenance_comment && <bdi>{maintenance_comment}</bdi>}
      {stance === "maintenance" && (maintenance_by || maintenance_until) && (
        <Box as="span" display="block">
          {maintenance_by && (
            <>
              by <bdi>{maintenance_by}</bdi>
            </>
          )}
          {maintenance_by && maintenance_until && ", "}
          {maintenance_until && (
            <>
              ends <Time at={maintenance_until} />
            </>
          )}
        </Box>
      )}
      {order_waiting && (
        <Box as="span" display="block">
          <bdi>{order_waiting.asked_by}</bdi> asked <Time at={order_waiting.asked_at} />: {order_waiting.kind}
        </Box>
      )}
    </>
  );
}
