/** Nothing to show: says what would stand here, and what to do for it. */
import { Box, Button, Heading } from "@chakra-ui/react";
import type { ReactNode } from "react";
import type { ListState } from "./list.ts";

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Box py={10} px={4} textAlign="center" borderWidth={1} borderStyle="dashed" borderColor="border" rounded="md">
      <Heading as="h2" size="sm" mb={children ? 2 : 0}>
        {title}
      </Heading>
      <Box fontSize="sm" color="fg.muted" maxW="40rem" mx="auto">
        {children}
      </Box>
    </Box>
  );
}

/** A page that was there once: what it showed has become less, or somebody has kept its address. */
export function BeyondTheLast({ list }: { list: ListState }) {
  return (
    <Empty title="There are not so many pages">
      <Button size="sm" variant="outline" mt={2} onClick={() => list.setOffset(0)}>
        To the first page
      </Button>
    </Empty>
  );
}
