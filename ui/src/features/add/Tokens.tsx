/** The tokens that were made: what became of each, and the end of one. */
import { Box, Button, Heading, Text } from "@chakra-ui/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ConfirmDialog } from "../../ui/ConfirmDialog.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Status, type Tone } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { postSoon, type Token, useSoon } from "../contract.ts";

const TONES: Readonly<Record<string, Tone>> = { valid: "good", "never used": "good" };
const OPEN = new Set(["valid", "never used"]);

export function Tokens() {
  const { data, error, refetch } = useSoon<Token[]>("/enroll-tokens");
  const [ending, setEnding] = useState<Token>();
  return (
    <Box as="section">
      <Heading as="h2" size="md" mb={1}>
        Tokens
      </Heading>
      <Text color="fg.muted" fontSize="sm" mb={3}>
        Each lets machines enrol as workers. Its secret is shown once, when it is made; whoever has lost it makes
        another token.
      </Text>
      {error && <ErrorNote error={error} retry={refetch} />}
      {data && !data.length && <Text fontSize="sm">None yet.</Text>}
      {data && data.length > 0 && (
        <Rows label="Tokens" columns={columns(setEnding)} rows={data} keyOf={({ id }) => id} />
      )}
      {ending && <Revoke token={ending} close={() => setEnding(undefined)} />}
    </Box>
  );
}

function columns(revoke: (token: Token) => void): Column<Token>[] {
  return [
    {
      name: "State",
      cell: ({ state }) => (
        <Status tone={TONES[state] ?? "quiet"}>{state.charAt(0).toUpperCase() + state.slice(1)}</Status>
      ),
    },
    {
      name: "Queues",
      cell: ({ queues, team }) => (
        <Text overflowWrap="anywhere">
          {queues.join(", ")}
          {team && ` (${team})`}
        </Text>
      ),
    },
    { name: "Names", short: true, cell: ({ name_pattern }) => name_pattern ?? "any" },
    { name: "Uses left", numeric: true, cell: ({ uses_left }) => uses_left },
    { name: "Expires", short: true, cell: ({ expires_at }) => <Time at={expires_at} /> },
    {
      name: "Made",
      cell: ({ created_at, created_by }) => (
        <>
          {created_by}, <Time at={created_at} />
        </>
      ),
    },
    {
      name: "Change",
      cell: (token) =>
        OPEN.has(token.state) && (
          <Button
            size="xs"
            variant="outline"
            onClick={() => revoke(token)}
            aria-label={`Revoke the token for ${token.queues.join(", ")}`}
          >
            Revoke…
          </Button>
        ),
    },
  ];
}

function Revoke({ token, close }: { token: Token; close: () => void }) {
  const client = useQueryClient();
  return (
    <ConfirmDialog
      danger
      title={`Revoke the token for ${token.queues.join(", ")}`}
      confirm="Revoke the token"
      onClose={close}
      act={async () => {
        await postSoon("/enroll-tokens/{token_id}/revoke", undefined, { path: { token_id: token.id } });
        await client.invalidateQueries({ queryKey: ["edge", "/enroll-tokens"] });
        return undefined;
      }}
    >
      Nobody can enrol with it any more: {token.uses_left === 1 ? "its last use is" : `${token.uses_left} uses are`}{" "}
      lost. Workers that were enrolled with it stay.
    </ConfirmDialog>
  );
}
