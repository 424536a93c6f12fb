/** Which workers, and in which order. */
import { Box, Button, Flex } from "@chakra-ui/react";
import { Choice, Search } from "../../ui/Filters.tsx";
import type { ListState } from "../../ui/list.ts";
import { capital } from "./facts.ts";
import { LINKS, LOADS, STANCES } from "./filters.ts";

const KINDS = [
  "out of reach",
  "held back",
  "version refused",
  "version warning",
  "copied key",
  "team deleted",
  "warnings",
  "order waiting",
  "closed queues",
] as const;

const ORDERS = [
  { value: "name", label: "Name" },
  { value: "link", label: "Link" },
  { value: "stance", label: "Stance" },
  { value: "-load", label: "Load, fullest first" },
  { value: "-cpu", label: "CPU, busiest first" },
  { value: "-memory", label: "Memory, fullest first" },
  { value: "disk", label: "Disk, fullest first" },
  { value: "agent_version", label: "Version, oldest first" },
  { value: "last_seen_at", label: "Last heard, longest ago first" },
  { value: "-enrolled_at", label: "Enrolled, newest first" },
];

/** By what the workers are sorted: also by what has no head to press, and where there are no heads. */
export function SortBy({ list }: { list: ListState }) {
  const known = ORDERS.some(({ value }) => value === list.order);
  const options = known ? ORDERS : [{ value: list.order, label: "As in the table's head" }, ...ORDERS];
  return <Choice label="Sort by" value={list.order} onChange={list.setOrder} options={options} />;
}

type Props = { list: ListState; teams: readonly string[]; clear: (() => void) | undefined };

export function FilterBar({ list, teams, clear }: Props) {
  return (
    <Flex
      as="form"
      role="search"
      aria-label="Filter workers"
      columnGap={4}
      rowGap={2}
      wrap="wrap"
      align="center"
      onSubmit={(event) => event.preventDefault()}
    >
      <Search label="Name, host or address" value={list.get("search")} onChange={(search) => list.set({ search })} />
      <Words name="link" options={LINKS} list={list} />
      <Words name="stance" options={STANCES} list={list} />
      <Words name="load" options={LOADS} list={list} />
      <Words name="attention" options={KINDS} list={list} />
      <Box w={{ base: "full", sm: "9rem" }}>
        <Search label="Queue" value={list.get("queue")} onChange={(queue) => list.set({ queue })} />
      </Box>
      {teams.length > 0 && <Words name="team" options={teams} list={list} />}
      {clear && (
        <Button size="sm" variant="ghost" onClick={clear}>
          Clear filters
        </Button>
      )}
    </Flex>
  );
}

type WordsProps = { name: string; options: readonly string[]; list: ListState };

/** One of several words, or any; an address may ask for more than one at a time. */
function Words({ name, options, list }: WordsProps) {
  const asked = list.all(name);
  const now = asked.join("\n");
  const offered = options.map((option) => ({ value: option, label: capital(option) }));
  return (
    <Choice
      label={capital(name)}
      any="Any"
      value={now}
      onChange={(chosen) => list.set({ [name]: chosen ? chosen.split("\n") : undefined })}
      options={
        now && !options.includes(now) ? [{ value: now, label: capital(asked.join(" or ")) }, ...offered] : offered
      }
    />
  );
}
