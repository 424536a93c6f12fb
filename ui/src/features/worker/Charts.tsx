/** How a worker's machine and link were over a time. */
import { Box, Button, Flex, Heading, SimpleGrid, Skeleton, Text } from "@chakra-ui/react";
import { lazy, Suspense, useState } from "react";
import { useLive } from "../../api/query.ts";
import { useNow } from "../../clock.ts";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { useList } from "../../ui/list.ts";
import { bytes } from "../../words.ts";
import { useZone } from "../../zone.ts";
import { number, percent } from "../fleet/facts.ts";
import { RANGES, rangeOf, sentenceOf, sinceOf } from "./ranges.ts";

const Plot = lazy(() =>
  import("./Plot.tsx").catch((error: unknown) => ({
    // The rest of the view, its actions among it, does without.
    default: () => (
      <Text role="alert" fontSize="sm" pt={10}>
        The chart could not be loaded ({String(error)}). Reload the page; after an update of airflow-edge this is needed
        once.
      </Text>
    ),
  })),
);

/** So many resolutions after a measurement it is not how it is now. */
const OLD = 4;

type Chart = { series: string; label: string; format: (value: number) => string; most?: number; steps?: true };

const amount = (value: number) => number(Math.round(value * 10) / 10);
const milliseconds = (value: number) => `${Math.round(value * 1000)} ms`;

const CHARTS: readonly Chart[] = [
  { series: "cpu_percent", label: "CPU", format: percent, most: 100 },
  { series: "memory_percent", label: "Memory", format: percent, most: 100 },
  { series: "disk_free", label: "Disk free", format: bytes },
  { series: "jobs", label: "Running tasks", format: amount, steps: true },
  { series: "round_trip", label: "Round trip", format: milliseconds },
  { series: "reconnects", label: "Reconnects", format: amount, steps: true },
];

export function Charts({ name }: { name: string }) {
  const list = useList({ order: "" });
  const range = rangeOf(list.get("range"));
  const now = useNow();
  const since = sinceOf(range, now);
  const found = useLive(
    "/workers/{name}/metrics",
    { path: { name }, query: { since, resolution: range.resolution } },
    { every: 60_000 },
  );
  const { data, error } = found;
  return (
    <Box as="section" aria-labelledby="edge-charts">
      <Flex gap={3} mb={2} wrap="wrap" align="center">
        <Heading as="h3" size="sm" id="edge-charts" me="auto">
          Over time
        </Heading>
        <Flex role="group" aria-label="How far back" gap={1}>
          {RANGES.map(({ id, label }) => (
            <Button
              key={id}
              size="xs"
              variant={id === range.id ? "solid" : "outline"}
              aria-pressed={id === range.id}
              onClick={() => list.set({ range: id === RANGES[0].id ? undefined : id })}
            >
              {label}
            </Button>
          ))}
        </Flex>
      </Flex>
      {error && <ErrorNote error={error} retry={found.refetch} stale={data !== undefined} />}
      <SimpleGrid columns={{ base: 1, lg: 2 }} gap={3} aria-busy={found.isPlaceholderData}>
        {CHARTS.map((chart) => (
          <One
            key={chart.series}
            chart={chart}
            times={data?.times}
            values={data?.series[chart.series]}
            together={name}
            fresh={now / 1000 - OLD * range.resolution}
          />
        ))}
      </SimpleGrid>
    </Box>
  );
}

type OneProps = {
  chart: Chart;
  times: readonly number[] | undefined;
  values: readonly (number | null)[] | undefined;
  together: string;
  /** What was measured before this, in seconds, is said with its time: it may be no more. */
  fresh: number;
};

function One({ chart: { label, format, most, steps }, times, values, together, fresh }: OneProps) {
  const [pointed, point] = useState<number>();
  const zone = useZone();
  const known = values?.some((value) => value !== null);
  const at = pointed ?? values?.findLastIndex((value) => value !== null);
  const value = at === undefined ? undefined : values?.[at];
  const when = at === undefined ? undefined : times?.[at];
  const time = pointed !== undefined || (when !== undefined && when < fresh) ? when : undefined;
  return (
    <Box borderWidth={1} borderColor="border" rounded="md" p={3} minW={0}>
      <Flex justify="space-between" gap={2} mb={1}>
        <Heading as="h4" size="xs" color="fg.muted" fontWeight="medium">
          {label}
        </Heading>
        <Text fontSize="sm" lineHeight="1rem" fontWeight="semibold" fontVariantNumeric="tabular-nums">
          <Text as="span" {...(time !== undefined && pointed === undefined && { color: "fg.muted" })}>
            {value === undefined || value === null ? "–" : format(value)}
          </Text>
          {time !== undefined && (
            <Text as="span" ms={2} fontWeight="normal" color="fg.muted">
              {new Date(time * 1000).toLocaleString("en-GB", {
                timeZone: zone,
                day: "numeric",
                month: "short",
                hour: "2-digit",
                minute: "2-digit",
              })}
            </Text>
          )}
        </Text>
      </Flex>
      <Box h="120px">
        {times && values && known ? (
          <Suspense fallback={<Skeleton h="120px" />}>
            <Plot
              times={times}
              values={values}
              label={sentenceOf(label, values, format)}
              format={format}
              most={most}
              steps={steps ?? false}
              onPoint={point}
              together={together}
            />
          </Suspense>
        ) : times ? (
          <Text color="fg.muted" fontSize="sm" textAlign="center" pt={10}>
            Nothing was measured in this time.
          </Text>
        ) : (
          <Skeleton h="120px" />
        )}
      </Box>
    </Box>
  );
}
