/** So many of so many, as a bar with its numbers. */
import { Box, HStack, Span } from "@chakra-ui/react";

type Props = {
  used: number;
  of: number;
  /** What is counted: "slots taken". */
  label: string;
  /** Characters' width of the bar. */
  width?: string;
};

export function Bar({ used, of, label, width = "5rem" }: Props) {
  const share = of > 0 ? Math.min(1, used / of) : 0;
  return (
    <HStack as="span" display="inline-flex" gap={2} verticalAlign="middle">
      <Box
        as="span"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={of}
        aria-valuenow={used}
        aria-valuetext={`${used} of ${of}`}
        display="inline-block"
        w={width}
        h={1.5}
        rounded="full"
        bg="bg.emphasized"
        overflow="hidden"
      >
        <Box
          as="span"
          display="block"
          h="full"
          w={`${share * 100}%`}
          bg={share >= 1 ? "warning.solid" : "blue.solid"}
        />
      </Box>
      <Span fontVariantNumeric="tabular-nums" whiteSpace="nowrap" aria-hidden>
        {used} / {of}
      </Span>
    </HStack>
  );
}
