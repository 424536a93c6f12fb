/** Placeholder: the fleet, as a plain table. */
import { Table, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { useLive } from "../../api/query.ts";
import { at } from "../../place.ts";
import { Empty } from "../../ui/Empty.tsx";

export function Fleet() {
  const { data, error } = useLive("/workers", { query: { limit: 100 } });
  if (error) return <Text role="alert">{error.message}</Text>;
  if (!data) return <Text role="status">Loading…</Text>;
  if (!data.items.length) return <Empty title="No worker yet">Add one.</Empty>;
  return (
    <Table.Root size="sm">
      <Table.Header>
        <Table.Row>
          <Table.ColumnHeader>Name</Table.ColumnHeader>
          <Table.ColumnHeader>State</Table.ColumnHeader>
        </Table.Row>
      </Table.Header>
      <Table.Body>
        {data.items.map((worker) => (
          <Table.Row key={worker.name}>
            <Table.Cell>
              <Link to={at("workers", worker.name)}>{worker.name}</Link>
            </Table.Cell>
            <Table.Cell>{worker.state}</Table.Cell>
          </Table.Row>
        ))}
      </Table.Body>
    </Table.Root>
  );
}
