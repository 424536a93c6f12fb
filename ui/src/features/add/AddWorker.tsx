/** Adding a worker, guided: what for, what to run at the site, and its arrival. Below: the tokens, and the centre's check. */
import { Box, Button, Flex, Heading, Separator, Text } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";
import { useSearchParams } from "react-router-dom";
import { api } from "../../api/client.ts";
import { usePermissions } from "../../api/permissions.ts";
import { Empty } from "../../ui/Empty.tsx";
import type { NewToken } from "../documents.ts";
import { Arrival } from "./Arrival.tsx";
import { Check } from "./Check.tsx";
import { Commands } from "./Commands.tsx";
import { Names } from "./Names.tsx";
import { Purpose } from "./Purpose.tsx";
import { Tokens } from "./Tokens.tsx";
import { addressOf, firstWish, namesIn } from "./wish.ts";

export function AddWorker() {
  const { change, missing, known } = usePermissions();
  if (!known) return <Text role="status">Loading…</Text>;
  if (!change) {
    return (
      <Empty title="Adding a worker is for those who may change workers">
        You lack the permission {missing}. Ask an administrator of Airflow.
      </Empty>
    );
  }
  return (
    <Flex direction="column" gap={8} maxW="60rem">
      <Guide />
      <Separator />
      <Tokens />
      <Separator />
      <Check />
    </Flex>
  );
}

function Guide() {
  const [asked] = useSearchParams();
  const [wish, setWish] = useState(() =>
    firstWish({
      queues: namesIn(asked.getAll("queues").join(",")).join(", "),
      team: asked.get("team") ?? "",
      api_url: addressOf(api.base),
    }),
  );
  const [token, setToken] = useState<NewToken>();
  return (
    <Box as="section" aria-label="Guided set-up">
      <Step number={1} title="What it is for" now={!token}>
        {token ? (
          <Flex gap={3} align="baseline" wrap="wrap">
            <Text>
              A token for {token.queues.length === 1 ? "queue" : "queues"}{" "}
              <strong>
                <Names names={token.queues} />
              </strong>
              {token.team && (
                <>
                  {" "}
                  of team{" "}
                  <strong>
                    <bdi>{token.team}</bdi>
                  </strong>
                </>
              )}
              , {token.uses_left === 1 ? "for one worker" : `for ${token.uses_left} workers`}.
            </Text>
            <Button size="xs" variant="outline" onClick={() => setToken(undefined)}>
              Make another
            </Button>
          </Flex>
        ) : (
          <Purpose wish={wish} change={setWish} made={setToken} />
        )}
      </Step>
      <Step number={2} title="Run this at the site" now={Boolean(token)}>
        {token ? <Commands token={token} /> : <Later>The commands, with a token in them, are here after that.</Later>}
      </Step>
      <Step number={3} title="It arrives" now={Boolean(token)} last>
        {token ? (
          <Arrival key={token.id} token={token} address={wish.api_url} />
        ) : (
          <Later>This page waits for it, and says what is wrong if it does not come.</Later>
        )}
      </Step>
    </Box>
  );
}

function Later({ children }: { children: string }) {
  return (
    <Text color="fg.muted" fontSize="sm">
      {children}
    </Text>
  );
}

type StepProps = { number: number; title: string; now: boolean; last?: boolean; children: ReactNode };

function Step({ number, title, now, last = false, children }: StepProps) {
  return (
    <Flex gap={{ base: 3, sm: 4 }} minW={0}>
      <Flex direction="column" align="center" aria-hidden="true">
        <Flex
          boxSize={7}
          flexShrink={0}
          rounded="full"
          align="center"
          justify="center"
          fontSize="sm"
          fontWeight="semibold"
          borderWidth={2}
          borderColor={now ? "border.inverted" : "border"}
          color={now ? "fg" : "fg.muted"}
        >
          {number}
        </Flex>
        {!last && <Box flex="1" w="2px" bg="border" my={1} />}
      </Flex>
      <Box flex="1" minW={0} pb={6}>
        <Heading as="h2" size="md" mb={2} color={now ? "fg" : "fg.muted"}>
          {title}
        </Heading>
        {children}
      </Box>
    </Flex>
  );
}
