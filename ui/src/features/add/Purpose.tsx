/** The first step: what the worker is for, and so what its token opens. */
import { Box, Button, Collapsible, Field, Flex, Input, NativeSelect, SimpleGrid, Text } from "@chakra-ui/react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { BOUNDS } from "../../api/bounds.ts";
import { api, type Problem } from "../../api/client.ts";
import { usePermissions } from "../../api/permissions.ts";
import { keyOf } from "../../api/query.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import type { NewToken } from "../documents.ts";
import { useQueues } from "../queues/useQueues.ts";
import { bodyOf, GRACES, LIVES, namesIn, toggled, type Wish } from "./wish.ts";

const SUGGESTED = 8;

type Props = { wish: Wish; change: (wish: Wish) => void; made: (token: NewToken) => void };

export function Purpose({ wish, change, made }: Props) {
  const { multi_team, teams } = usePermissions();
  const client = useQueryClient();
  const create = useMutation<NewToken, Problem>({
    mutationFn: () => api.post("/enroll-tokens", bodyOf(wish)),
    onSuccess: (token) => {
      made(token);
      return client.invalidateQueries({ queryKey: keyOf("/enroll-tokens") });
    },
  });
  const set = (changes: Partial<Wish>) => change({ ...wish, ...changes });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate();
      }}
    >
      <Flex direction="column" gap={4}>
        <Labelled label="Queues" help="With commas between; none for Airflow’s default queue.">
          <Input
            value={wish.queues}
            placeholder="press, oven"
            autoComplete="off"
            onChange={(event) => set({ queues: event.target.value })}
          />
        </Labelled>
        <Suggestions typed={wish.queues} toggle={(queue) => set({ queues: toggled(wish.queues, queue) })} />
        <SimpleGrid columns={{ base: 1, sm: 2, lg: multi_team ? 2 : 3 }} gap={4}>
          {multi_team && (
            <Labelled label="Team" help="Its workers take only this team’s tasks.">
              <Choice
                value={wish.team}
                choose={(team) => set({ team })}
                choices={[["", "No team"], ...(teams ?? []).map((team) => [team, team] as const)]}
              />
            </Labelled>
          )}
          <Labelled
            label="Name of the worker"
            help="A name, or a pattern such as press-* that its name has to fit. None: any, and the host’s where none is given."
          >
            <Input
              value={wish.name_pattern}
              placeholder="press-7"
              maxLength={200}
              autoComplete="off"
              onChange={(event) => set({ name_pattern: event.target.value })}
            />
          </Labelled>
          <Labelled label="How many workers" help="How often the token can be used.">
            <Input
              type="number"
              {...BOUNDS.uses}
              required
              value={wish.uses || ""}
              onChange={(event) => set({ uses: Number(event.target.value) })}
            />
          </Labelled>
          <Labelled label="Good for" help="After that nobody can enrol with it; workers stay.">
            <Choice
              value={String(wish.seconds)}
              choose={(seconds) => set({ seconds: Number(seconds) })}
              choices={LIVES.map(([seconds, words]) => [String(seconds), words])}
            />
          </Labelled>
        </SimpleGrid>
        <Collapsible.Root>
          <Collapsible.Trigger asChild>
            <Button size="xs" variant="ghost" ms={-2}>
              Slots, disconnect grace, address <span aria-hidden="true">▾</span>
            </Button>
          </Collapsible.Trigger>
          <Collapsible.Content>
            <SimpleGrid columns={{ base: 1, sm: 2 }} gap={4} pt={2}>
              <Labelled label="Slots at most" help="How many tasks each of its workers may run at a time. None: 256.">
                <Input
                  type="number"
                  {...BOUNDS.slots}
                  value={wish.max_slots ?? ""}
                  onChange={(event) => set({ max_slots: event.target.value ? Number(event.target.value) : undefined })}
                />
              </Labelled>
              <Labelled label="Disconnect grace" help="How long its tasks are safe while it is out of reach.">
                <Choice
                  value={wish.disconnect_grace}
                  choose={(grace) => set({ disconnect_grace: grace })}
                  choices={GRACES}
                />
              </Labelled>
              <Labelled label="Airflow’s address" help="As the site sees it; usually the one you see.">
                <Input
                  type="url"
                  required
                  value={wish.api_url}
                  onChange={(event) => set({ api_url: event.target.value })}
                />
              </Labelled>
            </SimpleGrid>
          </Collapsible.Content>
        </Collapsible.Root>
        {create.error && <ErrorNote error={create.error} />}
        <Box>
          <Button type="submit" loading={create.isPending} loadingText="Making the token…">
            Make the token
          </Button>
        </Box>
      </Flex>
    </form>
  );
}

function Labelled({ label, help, children }: { label: string; help: string; children: ReactNode }) {
  return (
    <Field.Root>
      <Field.Label>{label}</Field.Label>
      {children}
      <Field.HelperText>{help}</Field.HelperText>
    </Field.Root>
  );
}

type ChoiceProps = { value: string; choose: (value: string) => void; choices: readonly (readonly [string, string])[] };

function Choice({ value, choose, choices }: ChoiceProps) {
  return (
    <NativeSelect.Root>
      <NativeSelect.Field value={value} onChange={(event) => choose(event.target.value)}>
        {choices.map(([one, words]) => (
          <option key={one} value={one}>
            {words}
          </option>
        ))}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}

/** Queues in which something waits: those without a worker are why somebody comes here. */
function Suggestions({ typed, toggle }: { typed: string; toggle: (queue: string) => void }) {
  const { data } = useQueues({ order_by: "-queued", limit: SUGGESTED });
  const wait = data?.items.filter(({ queued, workers }) => queued || !workers) ?? [];
  if (!wait.length) return null;
  const chosen = namesIn(typed);
  return (
    <Flex
      as="fieldset"
      border="none"
      p={0}
      m={0}
      gap={2}
      wrap="wrap"
      align="center"
      aria-label="Queues in which jobs wait"
    >
      <Text fontSize="sm" color="fg.muted">
        Jobs wait in:
      </Text>
      {wait.map(({ team_name, queue, queued, workers }) => {
        const here = chosen.includes(queue);
        return (
          <Button
            key={`${team_name}/${queue}`}
            size="xs"
            type="button"
            variant={here ? "solid" : "outline"}
            aria-pressed={here}
            onClick={() => toggle(queue)}
          >
            {queue}
            {team_name && ` (${team_name})`}: {queued.toLocaleString()}
            {!workers && ", nobody serves it"}
          </Button>
        );
      })}
    </Flex>
  );
}
