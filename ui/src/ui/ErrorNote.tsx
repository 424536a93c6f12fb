/** What was refused or did not come through, in words, beside what can be done. */
import { Alert, Button } from "@chakra-ui/react";
import { Problem } from "../api/client.ts";

type Props = {
  error: Error;
  /** Tries it again. */
  retry?: () => unknown;
  /** Shown above data that is there, but old. */
  stale?: boolean;
};

export function ErrorNote({ error, retry, stale = false }: Props) {
  const title = error instanceof Problem ? titleOf(error) : "That did not work";
  const loggedOut = error instanceof Problem && error.status === 401;
  return (
    <Alert.Root status={stale ? "warning" : "error"} role="alert" my={2}>
      <Alert.Indicator />
      <Alert.Content minW={0}>
        <Alert.Title>{stale ? `${title}: what is shown is not fresh` : title}</Alert.Title>
        <Alert.Description overflowWrap="anywhere">{error.message}</Alert.Description>
      </Alert.Content>
      {loggedOut && (
        // Airflow's own page asks for the log-in, and leads back here.
        <Button size="xs" alignSelf="center" onClick={() => window.location.reload()}>
          Log in again
        </Button>
      )}
      {retry && !loggedOut && (
        <Button size="xs" variant="outline" alignSelf="center" onClick={() => retry()}>
          Try again
        </Button>
      )}
    </Alert.Root>
  );
}

function titleOf({ status, title }: Problem): string {
  if (status === 403) return "You may not do that";
  if (status === 0) return "Airflow does not answer";
  return title;
}
