import { Alert } from "@chakra-ui/react";
import { headingOf, statusOf } from "./cause.ts";

/** The sentence that answers "why is it not running?". */
export function Explained({ cause, sentence }: { cause: string; sentence: string }) {
  return (
    <Alert.Root status={statusOf(cause)} alignItems="start">
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{headingOf(cause)}</Alert.Title>
        <Alert.Description overflowWrap="anywhere" aria-live="polite">
          {sentence}
        </Alert.Description>
      </Alert.Content>
    </Alert.Root>
  );
}
