/** A worker's own log, live. */
import { Box, Button, chakra, Flex, Switch, Text } from "@chakra-ui/react";
import { memo, useEffect, useRef, useState } from "react";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Choice } from "../../ui/Filters.tsx";
import { useList } from "../../ui/list.ts";
import { useZone } from "../../zone.ts";
import { LEVELS, type Line } from "./log.ts";
import { useWorkerLog } from "./useWorkerLog.ts";

const COLOUR: Readonly<Record<string, string>> = { WARNING: "warning.fg", ERROR: "red.fg", CRITICAL: "red.fg" };

export function Log({ name, may, linked }: { name: string; may: boolean; linked: boolean }) {
  const list = useList({ order: "" });
  const level = LEVELS.some(({ value }) => value === list.get("level")) ? list.get("level") : "20";
  const { lines, lost, error } = useWorkerLog(name, Number(level), may && linked);
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new line is followed
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow, lines]);
  // Who scrolls up wants to read; who is at the end again wants to follow.
  const scrolled = () => {
    const here = box.current;
    if (here) setFollow(here.scrollHeight - here.scrollTop - here.clientHeight < 24);
  };
  return (
    <Flex direction="column" gap={3}>
      <Flex gap={4} wrap="wrap" align="center">
        <Choice label="Level" value={level} onChange={(wanted) => list.set({ level: wanted })} options={LEVELS} />
        <Switch.Root checked={follow} onCheckedChange={({ checked }) => setFollow(checked)}>
          <Switch.HiddenInput />
          <Switch.Control />
          <Switch.Label>Follow</Switch.Label>
        </Switch.Root>
        <Text fontSize="sm" color="fg.muted" role="status">
          {!linked
            ? "It is not linked: this is what it has sent before."
            : may
              ? "Live: it sends what it writes while you look."
              : "What it has sent by itself. Who may change workers sees all of it live."}
          {lost > 0 && ` ${lost} lines did not get through.`}
        </Text>
      </Flex>
      {error && <ErrorNote error={error} stale={lines.length > 0} />}
      <Box
        ref={box}
        role="log"
        aria-label={`Log of ${name}`}
        aria-live="off"
        tabIndex={0}
        onScroll={scrolled}
        h="min(32rem, 55vh)"
        overflow="auto"
        borderWidth={1}
        borderColor="border"
        rounded="md"
        bg="bg.subtle"
        fontFamily="mono"
        fontSize="xs"
        lineHeight="1.25rem"
        p={2}
      >
        {lines.length === 0 && !error && (
          <Text color="fg.muted">{linked && may ? "Waiting for its first line…" : "Nothing is here."}</Text>
        )}
        {lines.map((line) => (
          <Written key={line.key} line={line} />
        ))}
      </Box>
      {!follow && (
        <Button alignSelf="start" size="xs" variant="outline" onClick={() => setFollow(true)}>
          To the end
        </Button>
      )}
    </Flex>
  );
}

const Written = memo(function Written({ line: { time, level, source, text } }: { line: Line }) {
  const zone = useZone();
  const at = new Date(time);
  // What the runtime prints by itself has no time of its own.
  const timeless = at.getTime() === 0;
  return (
    <chakra.div
      whiteSpace="pre-wrap"
      overflowWrap="anywhere"
      css={{ contentVisibility: "auto", containIntrinsicHeight: "1.25rem" }}
    >
      {!timeless && (
        <>
          <chakra.time dateTime={time} title={at.toISOString()} color="fg.muted">
            {at.toLocaleTimeString("en-GB", { timeZone: zone })}
          </chakra.time>{" "}
        </>
      )}
      <chakra.span color={COLOUR[level] ?? "fg.muted"} fontWeight={COLOUR[level] ? "semibold" : "normal"}>
        {level.padEnd(7)}
      </chakra.span>{" "}
      <span title={source}>{text}</span>
    </chakra.div>
  );
});
