/** The page in Airflow's navigation: its frame, and which view stands where. */
import { Box, Flex, Heading } from "@chakra-ui/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { Link, Route, Routes, useLocation } from "react-router-dom";
import { usePermissions } from "./api/permissions.ts";
import { queries } from "./api/query.ts";
import { AddWorker } from "./features/add/AddWorker.tsx";
import { Fleet } from "./features/fleet/Fleet.tsx";
import { Job } from "./features/jobs/Job.tsx";
import { Jobs } from "./features/jobs/Jobs.tsx";
import { Policy } from "./features/policy/Policy.tsx";
import { Queues } from "./features/queues/Queues.tsx";
import { Worker } from "./features/worker/Worker.tsx";
import { at } from "./place.ts";
import { Settled } from "./Settled.tsx";
import { Boundary } from "./ui/Boundary.tsx";
import { Empty } from "./ui/Empty.tsx";

/** `changes`: it is for those who may change workers. */
const VIEWS: readonly { name: string; to: string; also?: string; changes?: true }[] = [
  { name: "Fleet", to: at(), also: at("workers") },
  { name: "Queues", to: at("queues") },
  { name: "Jobs", to: at("jobs") },
  { name: "Policy", to: at("policy"), changes: true },
  { name: "Add a worker", to: at("add"), changes: true },
];

export default function Page() {
  return (
    <Settled name="page">
      <QueryClientProvider client={queries}>
        <Flex direction="column" gap={4} px={{ base: 3, md: 6 }} py={4} h="100%" minW={0} overflowY="auto">
          <Flex align="baseline" gap={{ base: 1, md: 6 }} wrap="wrap" borderBottomWidth={1} borderColor="border">
            <Heading as="h1" size="xl">
              Edge workers
            </Heading>
            <Views />
          </Flex>
          <Box as="section" flex="1" minW={0}>
            <Shown />
          </Box>
        </Flex>
      </QueryClientProvider>
    </Settled>
  );
}

function Views() {
  const { pathname } = useLocation();
  const { known, change } = usePermissions();
  return (
    <Flex as="nav" aria-label="Views of edge workers" gap={{ base: 0, md: 1 }} mb="-1px" minW={0} overflowX="auto">
      {VIEWS.map(({ name, to, also, changes = false }) => {
        // To who came here by its address it says why it is not for them.
        if (changes && known && !change) return null;
        const here =
          pathname.replace(/\/$/, "") === to ||
          [also, to === at() ? undefined : to].some((below) => below && pathname.startsWith(`${below}/`));
        return (
          <Box
            asChild
            key={to}
            px={{ base: 1.5, md: 3 }}
            py={2}
            whiteSpace="nowrap"
            fontSize={{ base: "sm", md: "md" }}
            borderBottomWidth={2}
            borderColor={here ? "brand.solid" : "transparent"}
            color={here ? "fg" : "fg.muted"}
            fontWeight={here ? "semibold" : "normal"}
            _hover={{ color: "fg" }}
          >
            <Link aria-current={here ? "page" : undefined} to={to}>
              {name}
            </Link>
          </Box>
        );
      })}
    </Flex>
  );
}

/** A view that fails leaves the others: going to one is a new beginning. */
function Shown() {
  const { pathname } = useLocation();
  return (
    <Boundary key={pathname}>
      <Routes>
        <Route index element={<Fleet />} />
        <Route path="workers/:name" element={<Worker />} />
        <Route path="queues" element={<Queues />} />
        <Route path="jobs" element={<Jobs />} />
        <Route path="jobs/:id" element={<Job />} />
        <Route path="policy" element={<Policy />} />
        <Route path="add" element={<AddWorker />} />
        <Route
          path="*"
          element={
            <Empty title="There is nothing here">
              <Link to={at()}>To the fleet</Link>
            </Empty>
          }
        />
      </Routes>
    </Boundary>
  );
}
