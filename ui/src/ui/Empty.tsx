/** Nothing to show: says what would stand here, and what to do for it. */
import { Box, Heading } from "@chakra-ui/react";
import type { ReactNode } from "react";

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
