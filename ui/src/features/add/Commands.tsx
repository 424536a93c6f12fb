/** The second step: what to run at the site, by the way in which it is run there. */
import { Alert, Code, Flex, Tabs, Text } from "@chakra-ui/react";
import { Command } from "../../ui/Copy.tsx";
import { Time } from "../../ui/Time.tsx";
import type { NewToken } from "../documents.ts";

const NAMES: Readonly<Record<string, string>> = {
  pip: "By hand (pip)",
  systemd: "As a service (systemd)",
  container: "Container",
  helm: "Helm",
  ansible: "Ansible",
};

/** Stands in the unit, since only the site knows. */
const DAGS = "/path/to/dags";

export function Commands({ token }: { token: NewToken }) {
  const ways = Object.entries(token.commands ?? {}).filter(([, text]) => text);
  const [first] = ways;
  return (
    <Flex direction="column" gap={3} minW={0}>
      <Alert.Root status="info" size="sm">
        <Alert.Indicator />
        <Alert.Description>
          The token in it is shown only now, and expires <Time at={token.expires_at} />. Whoever has it can enrol a
          worker.
        </Alert.Description>
      </Alert.Root>
      {token.name_pattern && token.command.includes("NAME") && (
        <Text fontSize="sm">
          Write the worker’s own name in the place of <Code>NAME</Code>; it has to fit <Code>{token.name_pattern}</Code>
          .
        </Text>
      )}
      {first ? (
        <Tabs.Root defaultValue={first[0]} size="sm" lazyMount>
          <Tabs.List flexWrap="wrap">
            {ways.map(([way]) => (
              <Tabs.Trigger key={way} value={way}>
                {NAMES[way] ?? way}
              </Tabs.Trigger>
            ))}
          </Tabs.List>
          {ways.map(([way, text]) => (
            <Tabs.Content key={way} value={way} minW={0}>
              {text.includes(DAGS) && (
                <Text fontSize="sm" mb={2}>
                  Write the folder of its Dags in the place of <Code>{DAGS}</Code>.
                </Text>
              )}
              <Command text={text.trimEnd()} what={`the commands: ${NAMES[way] ?? way}`} />
            </Tabs.Content>
          ))}
        </Tabs.Root>
      ) : (
        <>
          <Command text={token.command} what="the command that enrols" />
          <Text fontSize="sm">Then start it:</Text>
          <Command text="airflow-edge worker" what="the command that starts the worker" />
        </>
      )}
    </Flex>
  );
}
