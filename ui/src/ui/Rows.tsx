/** Rows of facts: a table where there is room, a card a row on a phone; the same to a screen reader. */
import { Box, NativeSelect, Table } from "@chakra-ui/react";
import { Fragment, type ReactNode } from "react";
import { AFTER_NUMBERS, Header, SortHeader, TableRegion } from "./DataTable.tsx";
import type { ListState } from "./list.ts";

export type Column<Row> = {
  name: string;
  /** By what the server sorts it; `-` before it: the largest first. */
  sort?: string;
  /** Numbers stand under each other. */
  numeric?: boolean;
  /** On a phone three short ones, or numbers, share a line. */
  short?: boolean;
  cell: (row: Row) => ReactNode;
};

type Order = Pick<ListState, "order" | "setOrder">;

type Props<Row> = {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  /** What the columns sort; without it they do not. */
  list?: Order;
  /** Whether what is shown belongs to the question before. */
  busy?: boolean;
  /** What there is to say below a row, as wide as the table. */
  below?: (row: Row) => ReactNode;
};

const FROM = "md";
const THIRDS = "repeat(3, minmax(0, 1fr))";

export function Rows<Row>({ label, columns, rows, keyOf, list, busy = false, below }: Props<Row>) {
  return (
    <Box minW={0}>
      {list && <SortOnPhone columns={columns} list={list} />}
      <TableRegion label={label} busy={busy}>
        {/* Roles are said, since a table that is not laid out as one is none to browsers. */}
        <Table.Root role="table" aria-label={label} size="sm" display={{ base: "block", [FROM]: "table" }}>
          <Table.Header role="rowgroup" display={{ base: "none", [FROM]: "table-header-group" }}>
            <Table.Row role="row">
              {columns.map(({ name, sort, numeric = false }) =>
                list && sort ? (
                  <SortHeader
                    key={name}
                    by={sort.replace("-", "")}
                    descending={sort.startsWith("-")}
                    list={list}
                    numeric={numeric}
                  >
                    {name}
                  </SortHeader>
                ) : (
                  <Header key={name} numeric={numeric}>
                    {name}
                  </Header>
                ),
              )}
            </Table.Row>
          </Table.Header>
          <Table.Body role="rowgroup" display={{ base: "block", [FROM]: "table-row-group" }}>
            {rows.map((row) => (
              <Facts key={keyOf(row)} row={row} columns={columns} more={below?.(row)} />
            ))}
          </Table.Body>
        </Table.Root>
      </TableRegion>
    </Box>
  );
}

function Facts<Row>({ row, columns, more }: Pick<Props<Row>, "columns"> & { row: Row; more: ReactNode }) {
  const line = more ? { borderBottomWidth: 0 } : { borderBottomWidth: { base: 0, [FROM]: 1 } };
  return (
    <Fragment>
      <Table.Row
        role="row"
        bg="transparent"
        display={{ base: "grid", [FROM]: "table-row" }}
        gridTemplateColumns={THIRDS}
        pt={{ base: 2, [FROM]: 0 }}
        pb={{ base: more ? 0 : 2, [FROM]: 0 }}
        borderBottomWidth={{ base: more ? 0 : 1, [FROM]: 0 }}
        borderColor="border"
      >
        {columns.map(({ name, numeric = false, short = numeric, cell }) => (
          <Table.Cell
            key={name}
            role="cell"
            data-name={name}
            gridColumn={short ? "auto" : "1 / -1"}
            display={{ base: "block", [FROM]: "table-cell" }}
            ps={2}
            pe={{ base: 2, [FROM]: numeric ? AFTER_NUMBERS : 2 }}
            py={{ base: 1, [FROM]: 2 }}
            verticalAlign="top"
            textAlign={{ base: "start", [FROM]: numeric ? "end" : "start" }}
            fontVariantNumeric="tabular-nums"
            {...line}
            _before={{
              content: "attr(data-name)",
              display: { base: "block", [FROM]: "none" },
              color: "fg.muted",
              fontSize: "xs",
            }}
          >
            {cell(row)}
          </Table.Cell>
        ))}
      </Table.Row>
      {more && (
        <Table.Row role="row" bg="transparent" display={{ base: "block", [FROM]: "table-row" }}>
          <Table.Cell
            role="cell"
            colSpan={columns.length}
            display={{ base: "block", [FROM]: "table-cell" }}
            px={2}
            pt={0}
            pb={3}
          >
            {more}
          </Table.Cell>
        </Table.Row>
      )}
    </Fragment>
  );
}

/** Heads to click are not there on a phone. */
function SortOnPhone<Row>({ columns, list }: { columns: readonly Column<Row>[]; list: Order }) {
  return (
    <NativeSelect.Root size="sm" display={{ base: "block", [FROM]: "none" }} mb={2}>
      <NativeSelect.Field
        aria-label="Sort by"
        value={list.order}
        onChange={(event) => list.setOrder(event.target.value)}
      >
        {columns.flatMap(({ name, sort }) => {
          const by = sort?.replace("-", "");
          return by === undefined
            ? []
            : [
                <option key={by} value={by}>{`${name}, ascending`}</option>,
                <option key={`-${by}`} value={`-${by}`}>{`${name}, descending`}</option>,
              ];
        })}
      </NativeSelect.Field>
      <NativeSelect.Indicator />
    </NativeSelect.Root>
  );
}
