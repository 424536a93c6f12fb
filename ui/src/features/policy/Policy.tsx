/** What tasks may ask of the centre: the policy in force, what it denies, and its change. */
import { Alert, Link as Anchor, Badge, Box, Button, Code, Flex, Heading, Text } from "@chakra-ui/react";
import { useState } from "react";
import { api, type Schemas } from "../../api/client.ts";
import { usePermissions } from "../../api/permissions.ts";
import { Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Time } from "../../ui/Time.tsx";
import { count } from "../../words.ts";
import { Ask } from "./Ask.tsx";
import { Denied } from "./Denied.tsx";
import { type Draft, Editor } from "./Editor.tsx";
import { History } from "./History.tsx";
import { RuleTable } from "./RuleTable.tsx";
import { usePolicy } from "./usePolicy.ts";

type Shown = Schemas["ShownPolicyDocument"];

export function Policy() {
  const { change, missing, known } = usePermissions();
  if (!known) return <Text role="status">Loading…</Text>;
  if (!change) {
    return (
      <Empty title="The policy is for those who may change workers">
        It says what their tasks may ask for. You lack the permission {missing}. Ask an administrator of Airflow.
      </Empty>
    );
  }
  return <ForWhoMay />;
}

function ForWhoMay() {
  const { data, error, refetch } = usePolicy();
  const [draft, setDraft] = useState<Draft>();
  if (!data)
    return error ? <ErrorNote error={error} retry={refetch} /> : <Text role="status">Loading the policy…</Text>;
  const own = data.file === null;
  const begin = (text: string) => setDraft({ text, after: data.version });
  return (
    <Flex direction="column" gap={8} maxW="72rem">
      {error && <ErrorNote error={error} retry={refetch} stale />}
      {own && !data.version ? <None begin={draft ? undefined : begin} /> : <InForce shown={data} />}
      {own && data.version > 0 && !draft && (
        <Box>
          <Button size="sm" onClick={() => begin(data.text)}>
            Change it…
          </Button>
        </Box>
      )}
      {own && draft && <Editor draft={draft} change={setDraft} close={() => setDraft(undefined)} inForce={data} />}
      <Denied />
      <Ask />
      {own && <History take={begin} />}
    </Flex>
  );
}

function None({ begin }: { begin: ((text: string) => void) | undefined }) {
  return (
    <Empty title="No policy is in force">
      A task at a site may read every connection and variable, as in Airflow itself. A policy says which tasks may ask
      the centre for what: first only noting what it would deny, then denying it (
      <Anchor variant="underline" href={new URL("docs#/Policy", api.base).href} target="_blank" rel="noreferrer">
        how it is written and set
      </Anchor>
      , or <Code>airflow edge policy set --help</Code>).
      {begin && (
        <Box mt={3}>
          <Button size="sm" onClick={() => begin("")}>
            Write one…
          </Button>
        </Box>
      )}
    </Empty>
  );
}

function InForce({ shown }: { shown: Shown }) {
  const { version, file, by, at, note, error, rules, granting } = shown;
  return (
    <Box as="section" aria-label="In force">
      <Heading as="h2" size="md" mb={1} overflowWrap="anywhere">
        {file === null ? `Version ${version}` : "Read from a file"}
      </Heading>
      {file === null ? (
        <Text color="fg.muted" fontSize="sm" mb={3} overflowWrap="anywhere">
          {note && (
            <>
              “<bdi>{note}</bdi>”,{" "}
            </>
          )}
          <bdi>{by}</bdi>, <Time at={at} />
        </Text>
      ) : (
        <Text mb={3} overflowWrap="anywhere">
          It is kept in{" "}
          <Code>
            <bdi>{file}</bdi>
          </Code>
          , as <Code>[edge] policy_file</Code> says: change it there, and it is in force within seconds. Here it is only
          shown.
        </Text>
      )}
      {error && (
        <Alert.Root status="error" role="alert" mb={3}>
          <Alert.Indicator />
          <Alert.Content minW={0}>
            <Alert.Title>It cannot be read, so it is not in force</Alert.Title>
            <Alert.Description overflowWrap="anywhere">{error}</Alert.Description>
          </Alert.Content>
        </Alert.Root>
      )}
      {!error && (
        <>
          <Modes shown={shown} />
          <Text fontWeight="medium" mb={2}>
            {rules ? count(rules, "rule") : "No rule: it grants nothing."}
          </Text>
          {rules > 0 && <RuleTable label="Rules" rules={granting} />}
        </>
      )}
    </Box>
  );
}

const COLOUR: Record<Shown["modes"][string], string> = { off: "gray", report: "orange", enforce: "green" };

function Modes({ shown: { modes } }: { shown: Shown }) {
  const named = Object.entries(modes);
  return (
    <Flex as="ul" listStyleType="none" aria-label="Modes" gap={3} wrap="wrap" mb={3}>
      {named.map(([queue, mode]) => (
        <Box as="li" key={queue} overflowWrap="anywhere" minW={0}>
          Queue <bdi>{queue}</bdi>{" "}
          <Badge colorPalette={COLOUR[mode]} variant="surface">
            {mode}
          </Badge>
        </Box>
      ))}
      <Box as="li" color="fg.muted">
        {named.length ? "the first that fits counts; any other queue: off" : "Every queue is off: nothing is denied."}
      </Box>
    </Flex>
  );
}
