/** The first view: how the fleet is, what needs a person, and the workers. */
import { Box, Button, Flex, Heading, Skeleton, Text } from "@chakra-ui/react";
import { useState } from "react";
import { Link } from "react-router-dom";
import { usePermissions } from "../../api/permissions.ts";
import { at } from "../../place.ts";
import { Pager } from "../../ui/DataTable.tsx";
import { BeyondTheLast, Empty } from "../../ui/Empty.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { useList } from "../../ui/list.ts";
import { count } from "../../words.ts";
import { Attention } from "./Attention.tsx";
import { FilterBar, SortBy } from "./FilterBar.tsx";
import { filterOf, isFiltered, NAMES } from "./filters.ts";
import { useOverview, useWorkers } from "./reading.ts";
import { SelectionBar } from "./SelectionBar.tsx";
import { Summary } from "./Summary.tsx";
import { useSelection } from "./selection.ts";
import { WorkerTable } from "./WorkerTable.tsx";

export function Fleet() {
  const overview = useOverview();
  const { change, multi_team, teams } = usePermissions();
  const all = overview.data?.workers;
  // What came of removing the last one is still to be read.
  const [asking, setAsking] = useState(false);
  if (all && all.total + all.revoked === 0 && !asking) return <NoWorker />;
  return (
    <Flex direction="column" gap={5} css={{ containerType: "inline-size", containerName: "fleet" }}>
      {overview.error && (
        <ErrorNote error={overview.error} retry={overview.refetch} stale={overview.data !== undefined} />
      )}
      {(overview.data || !overview.error) && (
        <>
          <Summary overview={overview.data} />
          <Attention attention={overview.data?.attention} may={change} />
        </>
      )}
      <Workers
        may={change}
        told={overview.error?.message}
        teams={multi_team ? (teams ?? []) : []}
        onAsking={setAsking}
      />
    </Flex>
  );
}

function NoWorker() {
  return (
    <Empty title="No worker yet">
      <Text mb={4}>
        A worker is a machine at a site of yours that runs tasks. It needs nothing but outbound HTTPS to this Airflow:
        make a token here, run two commands there, and it appears on this page.
      </Text>
      <Button asChild size="sm">
        <Link to={at("add")}>Add a worker</Link>
      </Button>
    </Empty>
  );
}

type Props = {
  may: boolean;
  teams: readonly string[];
  /** The trouble that is shown above already: what ails both is said once. */
  told: string | undefined;
  /** Called when a dialog opens, and when it closes. */
  onAsking: (asking: boolean) => void;
};

function Workers({ may, teams, told, onAsking }: Props) {
  const list = useList({ order: "name" });
  const filter = filterOf(list);
  const found = useWorkers({ ...filter, order_by: list.order, limit: list.limit, offset: list.offset });
  const total = found.data?.total ?? 0;
  const workers = found.data?.items;
  const selection = useSelection(filter, total);
  const clear = () => list.set(Object.fromEntries(NAMES.map((name) => [name, undefined])));
  return (
    <Flex as="section" direction="column" gap={3} aria-labelledby="edge-workers">
      <Flex align="center" gap={3} wrap="wrap">
        <Heading as="h2" size="md" id="edge-workers">
          Workers
        </Heading>
        <Text fontSize="sm" color="fg.muted" role="status">
          {found.data && `${count(total, "worker")}${isFiltered(filter) ? (total === 1 ? " fits" : " fit") : ""}`}
        </Text>
        <Box ms="auto">
          <SortBy list={list} />
        </Box>
      </Flex>
      <FilterBar list={list} teams={teams} clear={isFiltered(filter) ? clear : undefined} />
      {found.error && found.error.message !== told && (
        <ErrorNote error={found.error} retry={found.refetch} stale={workers !== undefined} />
      )}
      {!workers && !found.error && (
        <Skeleton h="24rem" rounded="md" role="status" aria-label="The workers are loading" />
      )}
      {workers?.length === 0 && total > 0 && <BeyondTheLast list={list} />}
      {workers?.length === 0 && total === 0 && (
        <Empty title="No worker fits">
          <Button size="sm" variant="outline" mt={2} onClick={clear}>
            Clear filters
          </Button>
        </Empty>
      )}
      {workers && workers.length > 0 && (
        <Box opacity={found.isPlaceholderData ? 0.6 : 1} aria-busy={found.isPlaceholderData}>
          <WorkerTable
            workers={workers}
            order={list.order}
            onOrder={list.setOrder}
            selection={may ? selection : undefined}
          />
        </Box>
      )}
      {may && <SelectionBar selection={selection} total={total} onPage={workers?.length ?? 0} onAsking={onAsking} />}
      {total > list.limit && <Pager list={list} total={total} what="workers" />}
    </Flex>
  );
}
