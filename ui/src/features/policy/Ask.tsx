/** Whether a task may have something, by the policy in force. */
import { Box, Button, Field, Flex, Heading, Input, NativeSelect, SimpleGrid, Text } from "@chakra-ui/react";
import { type ReactNode, useState } from "react";
import { usePermissions } from "../../api/permissions.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Said } from "../../ui/Said.tsx";
import { Status } from "../../ui/Status.tsx";
import { GRANTS } from "./policy.ts";
import { useQuestion } from "./usePolicy.ts";

const EMPTY = {
  grant: GRANTS[0] as (typeof GRANTS)[number],
  name: "",
  dag_id: "",
  task_id: "",
  queue: "",
  team: "",
  worker: "",
};

export function Ask() {
  const { multi_team } = usePermissions();
  const [asked, setAsked] = useState(EMPTY);
  const question = useQuestion();
  const { data } = question;
  const text = (name: Exclude<keyof typeof EMPTY, "grant">, label: string, required = false) => (
    <Labelled label={label} required={required}>
      <Input
        size="sm"
        autoComplete="off"
        maxLength={250}
        value={asked[name]}
        onChange={(event) => setAsked({ ...asked, [name]: event.target.value })}
      />
    </Labelled>
  );
  return (
    <Box as="section" aria-label="Who may what">
      <Heading as="h2" size="md" mb={2}>
        Who may what
      </Heading>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          question.mutate(asked);
        }}
      >
        <SimpleGrid columns={{ base: 1, sm: 2, lg: multi_team ? 4 : 3 }} gap={3}>
          <Labelled label="What">
            <NativeSelect.Root size="sm">
              <NativeSelect.Field
                value={asked.grant}
                onChange={(event) => setAsked({ ...asked, grant: event.target.value as typeof asked.grant })}
              >
                {GRANTS.map((grant) => (
                  <option key={grant}>{grant}</option>
                ))}
              </NativeSelect.Field>
              <NativeSelect.Indicator />
            </NativeSelect.Root>
          </Labelled>
          {text("name", "Its name", true)}
          {text("dag_id", "Dag", true)}
          {text("task_id", "Task")}
          {text("queue", "Queue")}
          {text("worker", "Worker")}
          {multi_team && text("team", "Team")}
        </SimpleGrid>
        <Flex gap={3} mt={3} align="center" wrap="wrap">
          <Button type="submit" size="sm" variant="outline" loading={question.isPending} loadingText="Ask">
            Ask
          </Button>
          <Text as="div" role="status" overflowWrap="anywhere" minW={0}>
            {data && (
              <Status tone={data.granted ? "good" : data.mode === "enforce" ? "bad" : "warning"}>
                <Said>{data.sentence}</Said>
              </Status>
            )}
          </Text>
        </Flex>
        {question.error && <ErrorNote error={question.error} />}
      </form>
    </Box>
  );
}

function Labelled({ label, required = false, children }: { label: string; required?: boolean; children: ReactNode }) {
  return (
    <Field.Root required={required}>
      <Field.Label>
        {label} <Field.RequiredIndicator />
      </Field.Label>
      {children}
    </Field.Root>
  );
}
