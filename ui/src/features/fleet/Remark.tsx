/** Something to look after: what it is, why, and what to do about it, in this order and told apart. */
import { Box, Text } from "@chakra-ui/react";
import { Command } from "../../ui/Copy.tsx";
import { Said, sentenceOf } from "../../ui/Said.tsx";

type Props = { sentence: string; why: string; advice: string; command: string | null };

export function Remark({ sentence, why, advice, command }: Props) {
  return (
    <>
      <Text fontWeight="medium" overflowWrap="anywhere">
        <Said>{sentenceOf(sentence)}</Said>
      </Text>
      {why && (
        <Text fontSize="sm" overflowWrap="anywhere">
          <Said>{sentenceOf(why)}</Said>
        </Text>
      )}
      {advice && (
        <Text fontSize="sm" overflowWrap="anywhere">
          {advice}
        </Text>
      )}
      {command && (
        <Box my={1} maxW="44rem">
          <Command text={command} />
        </Box>
      )}
    </>
  );
}
