import { Alert, Button } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { at } from "../../place.ts";
import { usePermissions } from "../contract.ts";
import { headingOf, needsWorker, statusOf } from "./cause.ts";

type Props = {
  cause: string;
  sentence: string;
  /** Where its job waits, if there is one. */
  queue?: string | undefined;
};

/** The sentence that answers "why is it not running?", and what can be done from here. */
export function Explained({ cause, sentence, queue }: Props) {
  const { change } = usePermissions();
  return (
    <Alert.Root status={statusOf(cause)} alignItems="start" flexWrap="wrap">
      <Alert.Indicator />
      <Alert.Content minW={0}>
        <Alert.Title>{headingOf(cause)}</Alert.Title>
        <Alert.Description overflowWrap="anywhere" aria-live="polite">
          {sentence}
        </Alert.Description>
      </Alert.Content>
      {change && queue && needsWorker(cause) && (
        <Button asChild size="xs" variant="outline" alignSelf="center">
          <Link to={`${at("add")}?${new URLSearchParams({ queues: queue })}`}>Add a worker for it</Link>
        </Button>
      )}
    </Alert.Root>
  );
}
