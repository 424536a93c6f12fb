/** The workers of one page. */
import { Box, chakra } from "@chakra-ui/react";
import { memo, type ReactNode } from "react";
import { Link } from "react-router-dom";
import { at } from "../../place.ts";
import { LinkFact, LoadFact, Machine, Measure, Queues, StanceFact, Tasks, Version } from "./cells.tsx";
import type { WorkerDocument } from "./documents.ts";
import type { Selection } from "./selection.ts";
import { AROUND, TABLE } from "./style.ts";

type Column = {
  head: string;
  /** What there is to know of its numbers. */
  hint?: string;
  /** The server's name of the order by it, `-` before it where the largest is to be first. */
  order?: string;
  /** The whole width of a card. */
  wide?: true;
  empty?: (worker: WorkerDocument) => boolean;
  cell: (worker: WorkerDocument) => ReactNode;
};

const HINT = "Now, and in the last 15 minutes; the box's height is 100 %";

export const COLUMNS: readonly Column[] = [
  { head: "Link", order: "link", cell: (worker) => <LinkFact worker={worker} /> },
  { head: "Stance", order: "stance", cell: (worker) => <StanceFact worker={worker} /> },
  { head: "Load", order: "-load", cell: (worker) => <LoadFact worker={worker} /> },
  { head: "Queues", cell: (worker) => <Queues queues={worker.queues} team={worker.team} /> },
  {
    head: "Running now",
    wide: true,
    empty: (worker) => worker.jobs === 0,
    cell: (worker) => <Tasks worker={worker} />,
  },
  { head: "CPU", order: "-cpu", hint: HINT, cell: (worker) => <Measure worker={worker} series="cpu_percent" /> },
  {
    head: "Memory",
    order: "-memory",
    hint: HINT,
    cell: (worker) => <Measure worker={worker} series="memory_percent" />,
  },
  { head: "Disk free", order: "disk", cell: (worker) => <Measure worker={worker} series="disk_free" /> },
  { head: "Version", order: "agent_version", cell: (worker) => <Version worker={worker} /> },
];

/** A table that is drawn as cards is none any more for a screen reader, unless each part says what it is. */
const AS = Object.fromEntries(
  (["table", "rowgroup", "row", "columnheader", "rowheader", "cell"] as const).map((role) => [role, { role }]),
) as Record<"table" | "rowgroup" | "row" | "columnheader" | "rowheader" | "cell", { role: string }>;

type Props = {
  workers: readonly WorkerDocument[];
  order: string;
  onOrder: (order: string) => void;
  /** Not given: nothing can be chosen. */
  selection?: Selection | undefined;
};

export function WorkerTable({ workers, order, onOrder, selection }: Props) {
  const names = workers.map((worker) => worker.name);
  const chosen = selection ? names.filter(selection.chosen).length : 0;
  return (
    <Box css={AROUND} tabIndex={0} role="region" aria-label="Table of workers">
      <chakra.table {...AS.table} css={TABLE}>
        <thead {...AS.rowgroup}>
          <tr {...AS.row}>
            {selection && (
              <th className="choose" {...AS.columnheader} scope="col">
                <input
                  type="checkbox"
                  aria-label="Choose all on this page"
                  checked={chosen > 0 && chosen === names.length}
                  disabled={selection.all}
                  ref={(box) => {
                    if (box) box.indeterminate = chosen > 0 && chosen < names.length;
                  }}
                  onChange={(event) => selection.togglePage(names, event.target.checked)}
                />
              </th>
            )}
            <Head head="Worker" by="name" order={order} onOrder={onOrder} />
            {COLUMNS.map((column) => (
              <Head
                key={column.head}
                head={column.head}
                hint={column.hint}
                by={column.order}
                order={order}
                onOrder={onOrder}
              />
            ))}
          </tr>
        </thead>
        <tbody {...AS.rowgroup}>
          {workers.map((worker) => (
            <Row
              key={worker.id}
              worker={worker}
              chosen={selection?.chosen(worker.name) ?? false}
              fixed={selection?.all ?? false}
              toggle={selection?.toggle}
            />
          ))}
        </tbody>
      </chakra.table>
    </Box>
  );
}

function bare(order: string): string {
  return order.replace(/^-/, "");
}

type HeadProps = {
  head: string;
  hint?: string | undefined;
  by: string | undefined;
  order: string;
  onOrder: (order: string) => void;
};

function Head({ head, hint, by, order, onOrder }: HeadProps) {
  if (!by) {
    return (
      <th {...AS.columnheader} scope="col">
        {head}
      </th>
    );
  }
  const here = bare(order) === bare(by);
  const sorted = here ? (order.startsWith("-") ? "descending" : "ascending") : "none";
  const turned = order.startsWith("-") ? bare(by) : `-${bare(by)}`;
  return (
    <th {...AS.columnheader} scope="col" aria-sort={sorted} title={hint}>
      <button type="button" onClick={() => onOrder(here ? turned : by)}>
        {head}
        <span aria-hidden>{sorted === "ascending" ? " ↑" : sorted === "descending" ? " ↓" : ""}</span>
      </button>
    </th>
  );
}

type RowProps = { worker: WorkerDocument; chosen: boolean; fixed: boolean; toggle: Selection["toggle"] | undefined };

/** Drawn again only if the worker has changed: the API's unchanged answers are the very same objects. */
const Row = memo(function Row({ worker, chosen, fixed, toggle }: RowProps) {
  return (
    <tr {...AS.row} data-chosen={chosen || undefined} data-severity={worker.attention[0]?.severity}>
      {toggle && (
        <td className="choose first" {...AS.cell}>
          <input
            type="checkbox"
            aria-label={`Choose ${worker.name}`}
            checked={chosen}
            disabled={fixed}
            onChange={(event) => toggle(worker.name, event.target.checked)}
          />
        </td>
      )}
      <th {...AS.rowheader} scope="row" className={toggle ? undefined : "first"}>
        <Link to={at("workers", worker.name)}>{worker.name}</Link>
        <Machine worker={worker} />
      </th>
      {COLUMNS.map(({ head, wide, empty, cell }) => (
        <td key={head} {...AS.cell} data-label={head} data-wide={wide} data-empty={empty?.(worker) || undefined}>
          {cell(worker)}
        </td>
      ))}
    </tr>
  );
});
