/** The third step: waits for the worker, greets it, and says what was seen of it if it does not come. */
import { Alert, Box, Button, Flex, Spinner, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { useNow } from "../../clock.ts";
import { at } from "../../place.ts";
import { Command } from "../../ui/Copy.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Time } from "../../ui/Time.tsx";
import { count } from "../../words.ts";
import type { Attempt, NewToken } from "../documents.ts";
import { Remark } from "../fleet/Remark.tsx";
import { arrived, PATIENCE, refusals } from "./arrivals.ts";
import { TestJob } from "./TestJob.tsx";
import { type Newcomer, useArrivals } from "./useArrivals.ts";

/** So many refusals are told one by one: a service that is started again and again is refused each time. */
const TOLD = 5;

export function Arrival({ token, address }: { token: NewToken; address: string }) {
  const { kept, workers, attempts, error, retry } = useArrivals(token);
  const here = arrived(workers, attempts, token);
  const refused = attempts ? refusals(attempts, token) : [];
  const came = kept ? token.uses_left - kept.uses_left : here.length;
  const missing = token.uses_left - came;
  const over = kept && (kept.state === "expired" || kept.state === "revoked");
  return (
    <Flex direction="column" gap={3}>
      {error && <ErrorNote error={error} retry={retry} />}
      <Flex direction="column" gap={3} aria-live="polite" mb={here.length ? 0 : -3}>
        {here.map((worker) => (
          <Greeting key={worker.name} worker={worker} />
        ))}
      </Flex>
      {missing > 0 && over && (
        <Text role="status">
          {came} of {token.uses_left} have enrolled. The token is {kept.state}: nobody else can enrol with it.
        </Text>
      )}
      {missing > 0 && !over && (
        <Flex gap={3} align="center" role="status">
          <Spinner size="sm" />
          <Text>
            {came ? `${came} of ${token.uses_left} have enrolled; waiting for the others.` : "Waiting for the worker…"}
          </Text>
        </Flex>
      )}
      {!here.length && <Missing token={token} address={address} refused={refused} told={attempts !== undefined} />}
    </Flex>
  );
}

function Greeting({ worker }: { worker: Newcomer }) {
  const linked = worker.link === "linked";
  // Whoever is welcome and takes no job, since a folder is missing there, say, hears it here and not tomorrow.
  const troubles = linked ? worker.attention : [];
  return (
    <Alert.Root status={troubles.length ? "warning" : linked ? "success" : "info"} alignItems="start">
      <Alert.Indicator />
      <Alert.Content gap={3} minW={0}>
        <Box>
          <Alert.Title>
            {linked && "Welcome, "}
            <bdi>{worker.name}</bdi>
            {!linked && " is enrolled, and has not linked yet"}
          </Alert.Title>
          <Alert.Description>
            {linked
              ? `It is linked, with ${worker.concurrency === 1 ? "1 slot" : `${worker.concurrency} slots`} for ${worker.queues.join(", ")}.`
              : "Its key is known. Start it at the site: airflow-edge worker, or its service."}
          </Alert.Description>
        </Box>
        {troubles.map((remark) => (
          <Box key={remark.kind}>
            <Remark {...remark} sentence={`But it ${remark.sentence}`} />
          </Box>
        ))}
        <Flex gap={2} wrap="wrap">
          <Button asChild size="xs" variant="outline">
            <Link to={at("workers", worker.name)}>
              Look at <bdi>{worker.name}</bdi>
            </Link>
          </Button>
        </Flex>
        {linked && <TestJob worker={worker.name} />}
      </Alert.Content>
    </Alert.Root>
  );
}

type MissingProps = { token: NewToken; address: string; refused: readonly Attempt[]; told: boolean };

function Missing({ token, address, refused, told }: MissingProps) {
  const late = useNow() - Date.parse(token.created_at) > PATIENCE;
  if (!late && !refused.length) return null;
  return (
    <Alert.Root status="warning" alignItems="start">
      <Alert.Indicator />
      <Alert.Content gap={3} minW={0}>
        <Alert.Title>
          {refused.length ? "Somebody tried, and was refused" : "Nothing has come yet; it may still be installing"}
        </Alert.Title>
        {refused.length > 0 && (
          <Box as="ul" listStyleType="disc" ps={4}>
            {refused.slice(0, TOLD).map((one) => (
              <li key={`${one.at} ${one.name}`}>
                <strong>{one.name ? <bdi>{one.name}</bdi> : "a machine without a name"}</strong>, <Time at={one.at} />:{" "}
                <bdi>{one.text}</bdi>
              </li>
            ))}
            {refused.length > TOLD && <li>and {count(refused.length - TOLD, "more", "more")}</li>}
          </Box>
        )}
        {!refused.length && (
          <Text>
            {told
              ? "The gateway has seen no attempt since the token was made: the site did not get here, or the command was not run. "
              : ""}
            Look at the site what keeps it away: the address, a proxy, the certificate, the clock.
          </Text>
        )}
        <Command text={`airflow-edge check --url ${address}`} what="the check to run at the site" />
        {/* No link: Airflow's page has a base, and `#check` would lead away from here, and from the token. */}
        <Button
          size="xs"
          variant="outline"
          alignSelf="start"
          onClick={() => document.getElementById("check")?.scrollIntoView({ behavior: "smooth" })}
        >
          Check this centre, too
        </Button>
      </Alert.Content>
    </Alert.Root>
  );
}
