/** What needs a person, in sentences, the worst first, each with what to do beside it. */
import { Badge, Box, Button, Flex, Heading, Skeleton } from "@chakra-ui/react";
import { useRef, useState } from "react";
import { Link } from "react-router-dom";
import { at } from "../../place.ts";
import { Status } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { count as many } from "../../words.ts";
import { ActDialog } from "../worker/ActDialog.tsx";
import { ACTS } from "../worker/acts.ts";
import type { Action, FleetAttention } from "./documents.ts";
import { SEVERITY_COLOUR, SEVERITY_TONE, SEVERITY_WORD } from "./facts.ts";
import { filterOf } from "./filters.ts";
import { Remark } from "./Remark.tsx";

const AT_FIRST = 5;

/** Give the address of what an action shows. */
export function placeOf({ view, params }: Action): string {
  const { name, ...others } = params;
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(view === "worker" ? others : params)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined) asked.append(key, String(one));
    }
  }
  const place = view === "workers" ? at() : view === "worker" ? at("workers", String(name)) : at(view);
  return asked.size ? `${place}?${asked}` : place;
}

/** Give the workers that an act is for, as a filter. */
function targetOf({ params }: Action) {
  return {
    match: filterOf({ get: (name) => params[name] ?? "", all: (name) => (params[name] ? [params[name]] : []) }),
  };
}

type Props = {
  attention: readonly FleetAttention[] | undefined;
  /** Whether anything may be changed. */
  may: boolean;
};

export function Attention({ attention, may }: Props) {
  const [whole, showWhole] = useState(false);
  // Kept here: what came of an act is still to be read when there is nothing to look after any more.
  const [asked, ask] = useState<FleetAttention>();
  const section = useRef<HTMLElement>(null);
  const act = ACTS.find(({ id }) => id === asked?.action.act);
  const shown = whole ? attention : attention?.slice(0, AT_FIRST);
  const hidden = (attention?.length ?? 0) - (shown?.length ?? 0);
  return (
    <Box as="section" ref={section} tabIndex={-1} aria-labelledby="edge-attention" aria-busy={!attention}>
      <Heading as="h2" size="md" mb={2} id="edge-attention">
        Needs attention
        {attention && attention.length > 0 && (
          <Badge
            ms={2}
            variant="subtle"
            colorPalette={attention.some((one) => one.severity === "error") ? "red" : "warning"}
          >
            {attention.length}
          </Badge>
        )}
      </Heading>
      {!attention && <Skeleton h="3rem" rounded="md" />}
      {attention?.length === 0 && (
        <Box
          px={3}
          py={3}
          borderWidth={1}
          borderColor="border"
          borderStartWidth={4}
          borderStartColor="green.solid"
          rounded="md"
        >
          <Status tone="good">Nothing. No worker is in trouble, and no job waits for longer than it has to.</Status>
        </Box>
      )}
      {shown && shown.length > 0 && (
        <Flex
          as="ul"
          listStyleType="none"
          direction="column"
          borderWidth={1}
          borderColor="border"
          rounded="md"
          overflow="hidden"
        >
          {shown.map((one) => (
            <One key={`${one.kind} ${one.team} ${one.queue}`} one={one} ask={may ? ask : undefined} />
          ))}
        </Flex>
      )}
      {(hidden > 0 || whole) && (
        <Button mt={2} size="xs" variant="ghost" aria-expanded={whole} onClick={() => showWhole(!whole)}>
          {whole ? "Show fewer" : `Show ${hidden} more`}
        </Button>
      )}
      {asked && act && (
        <ActDialog
          act={act}
          title={`${asked.action.label} in queue '${asked.queue}'`}
          target={targetOf(asked.action)}
          onClose={() => ask(undefined)}
          focusAfter={() => section.current?.querySelector<HTMLElement>("li button") ?? section.current}
        />
      )}
    </Box>
  );
}

/** `ask`: not given to whoever may only look. */
type OneProps = { one: FleetAttention; ask: ((one: FleetAttention) => void) | undefined };

function One({ one, ask }: OneProps) {
  // Of a queue it is its jobs that are counted.
  const others = one.queue === null ? one.count - one.workers.length : 0;
  // What leads to the only one names it already.
  const named = one.workers.length > 0 && one.action.view !== "worker";
  return (
    <Flex
      as="li"
      align="start"
      wrap={{ base: "wrap", md: "nowrap" }}
      gap={3}
      px={3}
      py={2.5}
      borderStartWidth={4}
      borderStartColor={SEVERITY_COLOUR[one.severity]}
      borderTopWidth={1}
      borderTopColor="border"
      _first={{ borderTopWidth: 0 }}
    >
      <Box w="5.5rem" flexShrink={0} fontSize="sm" lineHeight="1.5rem" fontWeight="medium">
        <Status tone={SEVERITY_TONE[one.severity]}>{SEVERITY_WORD[one.severity]}</Status>
      </Box>
      <Box flex="1 1 16rem" minW={0}>
        <Remark {...one} />
        {(one.since || named) && (
          <Flex gap={3} wrap="wrap" fontSize="sm" color="fg.muted">
            {one.since && (
              <span>
                for <Time at={one.since} as="for" />
              </span>
            )}
            {named && (
              <span>
                {one.workers.map((name, place) => (
                  <span key={name}>
                    {place > 0 && ", "}
                    <Box asChild textDecoration="underline" textUnderlineOffset="2px" _hover={{ color: "fg" }}>
                      <Link to={at("workers", name)}>{name}</Link>
                    </Box>
                  </span>
                ))}
                {others > 0 && ` and ${many(others, "other")}`}
              </span>
            )}
          </Flex>
        )}
      </Box>
      <Flex direction="column" gap={1} flexShrink={0}>
        {one.action.act && ask && (
          <Button size="sm" variant="outline" onClick={() => ask(one)}>
            {one.action.label}…
          </Button>
        )}
        {(ask || one.action.view !== "add") && (
          <Button asChild size="sm" variant={one.action.act && ask ? "ghost" : "outline"}>
            <Link to={placeOf(one.action)}>{one.action.act ? "Show the workers" : one.action.label}</Link>
          </Button>
        )}
      </Flex>
    </Flex>
  );
}
