/** The fleet in one line of facts; each leads to the workers, queues or jobs that it counts. */
import { Box, Flex, Skeleton, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link } from "react-router-dom";
import { at } from "../../place.ts";
import { Mark, type Tone } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { count as many } from "../../words.ts";
import type { Overview } from "./documents.ts";
import { number } from "./facts.ts";
import { type Filter, fleetWith } from "./filters.ts";

type Count = keyof Overview["workers"];
type Shown = { count: Count; label: string; tone: Tone; filter: Filter; always?: true };

const FACTS: readonly Shown[] = [
  {
    count: "well",
    label: "Taking jobs",
    tone: "good",
    filter: { link: ["linked"], stance: ["taking jobs"] },
    always: true,
  },
  {
    count: "busy",
    label: "Busy",
    tone: "busy",
    filter: { load: ["busy", "full"] },
    always: true,
  },
  { count: "maintenance", label: "Maintenance", tone: "paused", filter: { stance: ["maintenance"] }, always: true },
  { count: "draining", label: "Draining", tone: "warning", filter: { stance: ["draining"] } },
  { count: "held_back", label: "Held back", tone: "warning", filter: { stance: ["held back"] } },
  { count: "starting", label: "Starting", tone: "busy", filter: { stance: ["starting"] } },
  { count: "out_of_reach", label: "Out of reach", tone: "bad", filter: { link: ["out of reach"] }, always: true },
  { count: "offline", label: "Offline", tone: "quiet", filter: { link: ["offline"] } },
  { count: "never_linked", label: "Never linked", tone: "quiet", filter: { link: ["never linked"] } },
];

export function Summary({ overview }: { overview: Overview | undefined }) {
  return (
    <Box as="section" aria-label="The fleet at a glance" aria-busy={!overview}>
      <Flex as="ul" listStyleType="none" wrap="wrap" gap={2}>
        {overview ? <Facts overview={overview} /> : WAITING}
      </Flex>
    </Box>
  );
}

const WAITING = FACTS.filter((fact) => fact.always)
  .map((fact) => fact.label)
  .concat("Slots", "Jobs")
  .map((label) => (
    <Skeleton as="li" key={label} h={{ base: "2.125rem", md: "5rem" }} minW="7.5rem" flex="1 1 7.5rem" rounded="md">
      {label}
    </Skeleton>
  ));

function Facts({ overview: { workers, slots, jobs, out_of_reach_since } }: { overview: Overview }) {
  return (
    <>
      {FACTS.filter((fact) => fact.always || workers[fact.count] > 0).map(({ count, label, tone, filter }) => (
        <Fact
          key={count}
          label={label}
          to={fleetWith(filter)}
          value={number(workers[count])}
          tone={workers[count] ? tone : undefined}
          loud={tone === "bad" && workers[count] > 0}
        >
          {count === "out_of_reach" && out_of_reach_since ? (
            <>
              for <Time at={out_of_reach_since} as="for" />
            </>
          ) : count === "well" ? (
            `of ${many(workers.total, "worker")}`
          ) : undefined}
        </Fact>
      ))}
      <Fact
        label="Slots taken"
        to={fleetWith({ load: ["busy", "full"] })}
        value={`${number(slots.taken)} of ${number(slots.total)}`}
        beside={`${number(slots.free)} free`}
        wide
      >
        <Bar taken={slots.taken} total={slots.total} />
      </Fact>
      <Fact
        label={jobs.queued === 1 ? "Job waiting" : "Jobs waiting"}
        to={`${at("jobs")}?state=queued&order=queued_at`}
        value={number(jobs.queued)}
        wide
      >
        {jobs.oldest_queued_at ? (
          <>
            oldest <Time at={jobs.oldest_queued_at} as="for" />
            {jobs.oldest_queue && `, in ${jobs.oldest_queue}`}
          </>
        ) : (
          `${number(jobs.running)} running`
        )}
      </Fact>
    </>
  );
}

type FactProps = {
  label: string;
  to: string;
  value: string;
  /** A small word beside the label. */
  beside?: string;
  tone?: Tone | undefined;
  loud?: boolean;
  wide?: boolean;
  children?: ReactNode;
};

function Fact({ label, to, value, beside, tone, loud, wide, children }: FactProps) {
  return (
    <Box as="li" flex={wide ? "2 1 10rem" : "1 1 7.5rem"} minW={wide ? "10rem" : "7.5rem"}>
      <Box
        asChild
        // On a phone a line each: what needs a person is to be seen without scrolling.
        display={{ base: "flex", md: "block" }}
        alignItems="baseline"
        justifyContent="space-between"
        columnGap={2}
        flexWrap="wrap"
        h="100%"
        px={{ base: 2, md: 3 }}
        py={{ base: 1, md: 2 }}
        borderWidth={1}
        borderColor={loud ? "red.solid" : "border"}
        rounded="md"
        bg="bg"
        _hover={{ bg: "bg.muted" }}
      >
        <Link to={to}>
          <Flex as="span" align="center" gap={1.5} fontSize="xs" color="fg.muted" whiteSpace="nowrap">
            {tone && <Mark tone={tone} />}
            {label}
            {beside && (
              <Box as="span" ms="auto">
                {beside}
              </Box>
            )}
          </Flex>
          <Text
            as="span"
            display="block"
            fontSize={{ base: "md", md: "xl" }}
            lineHeight={{ base: "1.5rem", md: "1.75rem" }}
            fontWeight="semibold"
            fontVariantNumeric="tabular-nums"
            whiteSpace="nowrap"
            color={value === "0" ? "fg.muted" : "fg"}
          >
            {value}
          </Text>
          <Box
            as="span"
            display={{ base: loud ? "block" : "none", md: "block" }}
            flexBasis="100%"
            fontSize="xs"
            lineHeight="1rem"
            minH={{ base: 0, md: "1rem" }}
            color={loud ? "red.fg" : "fg.muted"}
            truncate
          >
            {children}
          </Box>
        </Link>
      </Box>
    </Box>
  );
}

/** How much of something is taken; whoever shows it says the numbers. */
export function Bar({ taken, total }: { taken: number; total: number }) {
  const share = total > 0 ? Math.min(1, taken / total) : 0;
  return (
    <Box as="span" aria-hidden display="block" h={1.5} mt={1} rounded="full" bg="bg.emphasized" overflow="hidden">
      <Box
        as="span"
        display="block"
        h="100%"
        rounded="full"
        bg={share >= 1 ? "warning.solid" : "blue.solid"}
        w={`${share * 100}%`}
      />
    </Box>
  );
}
