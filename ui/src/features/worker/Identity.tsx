/** Who a worker is: its key, its machine, and who let it in. */
import { Box, Code, DataList, Heading } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Time } from "../../ui/Time.tsx";
import { duration } from "../../words.ts";
import type { WholeWorker } from "../fleet/documents.ts";
import { capital } from "../fleet/facts.ts";

/** What stands somewhere else on the page. */
const SAID = new Set(["concurrency", "free_slots", "warnings", "conditions", "python_version", "load"]);

export function Identity({ worker }: { worker: WholeWorker }) {
  const { asked_queues, added_queues, allowed_queues, other_instances, system } = worker;
  return (
    <Box as="section" aria-labelledby="edge-identity" borderWidth={1} borderColor="border" rounded="md" p={4} minW={0}>
      <Heading as="h3" size="sm" id="edge-identity" mb={3}>
        Identity
      </Heading>
      <DataList.Root size="sm" gap={2.5}>
        <Item name="Fingerprint of its key">
          <Code size="xs" overflowWrap="anywhere" whiteSpace="normal">
            {worker.fingerprint}
          </Code>
        </Item>
        <Item name="Enrolled">
          <Time at={worker.enrolled_at} />
          {worker.enrolled_by && (
            <>
              {" by "}
              <bdi>{worker.enrolled_by}</bdi>
            </>
          )}
        </Item>
        <Item name="Token">{worker.enroll_token_id ?? "None: with the shared secret"}</Item>
        <Item name="Instance">{worker.instance ?? "–"}</Item>
        <Item name="Machine">{[worker.host_name, worker.address].filter(Boolean).join(" at ") || "–"}</Item>
        <Item name="Carried by">{worker.transport ?? "–"}</Item>
        <Item name="May serve">{allowed_queues.join(", ") || "–"}</Item>
        {asked_queues && <Item name="Started for">{asked_queues.join(", ") || "no queue"}</Item>}
        {added_queues.length > 0 && <Item name="Added since">{added_queues.join(", ")}</Item>}
        <Item name="Disconnect grace">
          {worker.disconnect_grace === null ? "As the settings say" : duration(worker.disconnect_grace * 1000)}
        </Item>
        <Item name="Python">{worker.python_version ?? "–"}</Item>
        {Object.entries(system)
          .filter(([name]) => !SAID.has(name))
          .map(([name, value]) => (
            <Item key={name} name={name === "cpus" ? "CPUs" : capital(name.replaceAll("_", " "))}>
              {String(value)}
            </Item>
          ))}
      </DataList.Root>
      {other_instances.length > 0 && (
        <Box mt={4}>
          <Heading as="h4" size="xs" mb={1}>
            Other machines that try to use its key
          </Heading>
          <Box as="ul" listStyleType="none" fontSize="sm">
            {other_instances.map(({ host_name, address, last_tried_at }) => (
              <li key={`${host_name} ${address}`}>
                {[host_name, address].filter(Boolean).join(" at ") || "an unknown machine"}, last{" "}
                <Time at={last_tried_at} />
              </li>
            ))}
          </Box>
        </Box>
      )}
    </Box>
  );
}

function Item({ name, children }: { name: string; children: ReactNode }) {
  return (
    <DataList.Item>
      <DataList.ItemLabel>{name}</DataList.ItemLabel>
      <DataList.ItemValue overflowWrap="anywhere" fontVariantNumeric="tabular-nums">
        <span>{children}</span>
      </DataList.ItemValue>
    </DataList.Item>
  );
}
