/** What lists have around their rows: a region that scrolls, heads that sort, a pager. Sorting and paging is the server's. */
import { Box, Button, HStack, Span, Table, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { ListState } from "./list.ts";

/** What keeps numbers, which end at the right, from the words of the next column. */
export const AFTER_NUMBERS = 5;

type RegionProps = {
  /** What the table holds: "Workers". */
  label: string;
  /** Whether what is shown belongs to the question before. */
  busy?: boolean;
  children: ReactNode;
};

/** Give a wide table room to scroll sideways, by keyboard too. */
export function TableRegion({ label, busy = false, children }: RegionProps) {
  return (
    <Box
      role="region"
      aria-label={label}
      aria-busy={busy}
      tabIndex={0}
      overflowX="auto"
      opacity={busy ? 0.6 : 1}
      focusVisibleRing="outside"
      borderWidth={1}
      rounded="md"
      css={{ "& tbody tr:last-of-type > *": { borderBottomWidth: 0 } }}
    >
      {children}
    </Box>
  );
}

type SortProps = {
  /** The API's name of it. */
  by: string;
  list: Pick<ListState, "order" | "setOrder">;
  /** What is first when it is clicked for the first time: the largest, say. */
  descending?: boolean;
  numeric?: boolean;
  children: ReactNode;
};

/** A head that sorts: once, and the other way round. */
export function SortHeader({ by, list, descending = false, numeric = false, children }: SortProps) {
  const here = list.order.replace(/^-/, "") === by;
  const down = list.order.startsWith("-");
  const next = here ? (down ? by : `-${by}`) : descending ? `-${by}` : by;
  return (
    <Table.ColumnHeader
      aria-sort={here ? (down ? "descending" : "ascending") : "none"}
      textAlign={numeric ? "end" : "start"}
      whiteSpace="nowrap"
      bg="bg.subtle"
      ps={2}
      pe={numeric ? AFTER_NUMBERS : 2}
      py={2}
    >
      <Button
        variant="plain"
        size="sm"
        h="auto"
        px={0}
        minW={0}
        // The word ends where its numbers do.
        flexDirection={numeric ? "row-reverse" : "row"}
        fontWeight="medium"
        color={here ? "fg" : "fg.muted"}
        _hover={{ color: "fg" }}
        onClick={() => list.setOrder(next)}
      >
        {children}
        <Span aria-hidden visibility={here ? "visible" : "hidden"}>
          {down ? "↓" : "↑"}
        </Span>
      </Button>
    </Table.ColumnHeader>
  );
}

/** A head that does not sort, set as one that does. */
export function Header({ numeric = false, children }: { numeric?: boolean; children?: ReactNode }) {
  return (
    <Table.ColumnHeader
      textAlign={numeric ? "end" : "start"}
      whiteSpace="nowrap"
      fontSize="sm"
      fontWeight="medium"
      color="fg.muted"
      bg="bg.subtle"
      ps={2}
      pe={numeric ? AFTER_NUMBERS : 2}
      py={2}
    >
      {children}
    </Table.ColumnHeader>
  );
}

type PagerProps = {
  list: Pick<ListState, "limit" | "offset" | "setOffset">;
  total: number;
  /** What is counted, in the plural: "workers". */
  what: string;
};

/** Say which part is shown, and go to the next. */
export function Pager({ list: { limit, offset, setOffset }, total, what }: PagerProps) {
  const first = Math.min(offset + 1, total);
  const last = Math.min(offset + limit, total);
  return (
    <HStack as="nav" aria-label={`Pages of ${what}`} justify="space-between" wrap="wrap" py={2}>
      <Text color="fg.muted" fontSize="sm" role="status">
        {total > limit || offset > 0
          ? `${first.toLocaleString("en")}–${last.toLocaleString("en")} of ${total.toLocaleString("en")} ${what}`
          : `${total.toLocaleString("en")} ${what}`}
      </Text>
      {(total > limit || offset > 0) && (
        <HStack>
          <Button
            size="xs"
            variant="outline"
            disabled={offset <= 0}
            onClick={() => setOffset(Math.max(0, offset - limit))}
          >
            Previous
          </Button>
          <Button size="xs" variant="outline" disabled={last >= total} onClick={() => setOffset(offset + limit)}>
            Next
          </Button>
        </HStack>
      )}
    </HStack>
  );
}
