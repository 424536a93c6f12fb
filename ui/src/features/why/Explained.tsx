import { Alert, Button, Text } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { usePermissions } from "../../api/permissions.ts";
import { headingOf, mendingOf, statusOf } from "./cause.ts";

type Props = {
  cause: string;
  sentence: string;
  /** Where its job waits, if there is one. */
  queue?: string | undefined;
  /** What the policy has denied its newest try. */
  denied?: readonly string[];
};

/** The sentence that answers "why is it not running?", and what can be done from here. */
export function Explained({ cause, sentence, queue, denied = [] }: Props) {
  const { change } = usePermissions();
  const mend = queue === undefined ? undefined : mendingOf(cause, queue);
  return (
    <Alert.Root status={statusOf(cause)} alignItems="start" flexWrap="wrap">
      <Alert.Indicator />
      <Alert.Content minW={0}>
        <Alert.Title>{headingOf(cause)}</Alert.Title>
        <Alert.Description overflowWrap="anywhere" aria-live="polite">
          {sentence}
          {denied.map((line) => (
            <Text key={line}>{line}</Text>
          ))}
        </Alert.Description>
      </Alert.Content>
      {change && mend && (
        <Button asChild size="xs" variant="outline" alignSelf="center">
          <Link to={mend.to}>{mend.words}</Link>
        </Button>
      )}
    </Alert.Root>
  );
}
