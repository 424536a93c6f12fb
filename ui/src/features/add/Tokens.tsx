/** The tokens that were made: what became of each, and the end of one. */
import { Box, Button, Heading, Text } from "@chakra-ui/react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "../../api/client.ts";
import { keyOf, useLive } from "../../api/query.ts";
import { ConfirmDialog } from "../../ui/ConfirmDialog.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { Status } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import type { Attempt, Token } from "../documents.ts";
import { Names } from "./Names.tsx";
import { enrolledWith, stateOf, usesOf } from "./uses.ts";

const NAMED = 3;

export function Tokens() {
  const { data, error, refetch } = useLive("/enroll-tokens");
  const { data: attempts } = useLive("/enroll-attempts");
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
        <Rows label="Tokens" columns={columns(attempts, setEnding)} rows={data} keyOf={({ id }) => id} />
      )}
      {ending && <Revoke token={ending} close={() => setEnding(undefined)} />}
    </Box>
  );
}

function columns(attempts: readonly Attempt[] | undefined, revoke: (token: Token) => void): Column<Token>[] {
  return [
    {
      name: "State",
      short: true,
      cell: (token) => (
        <Status tone={token.state === "valid" ? "good" : "quiet"}>
          {stateOf(token, enrolledWith(token, attempts))}
        </Status>
      ),
    },
    {
      name: "Queues",
      cell: ({ queues, team }) => (
        <Text overflowWrap="anywhere">
          <Names names={queues} />
          {team && (
            <>
              {" "}
              (<bdi>{team}</bdi>)
            </>
          )}
        </Text>
      ),
    },
    { name: "Names", short: true, cell: ({ name_pattern }) => name_pattern ?? "any" },
    { name: "Enrolled", cell: (token) => <Enrolled names={enrolledWith(token, attempts)} /> },
    { name: "Uses", numeric: true, cell: usesOf },
    { name: "Expires", short: true, cell: ({ expires_at }) => <Time at={expires_at} /> },
    {
      name: "Made",
      cell: ({ created_at, created_by }) => (
        <>
          <bdi>{created_by}</bdi>, <Time at={created_at} />
        </>
      ),
    },
    {
      name: "Change",
      cell: (token) =>
        token.state === "valid" && (
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

/** A name may have been changed since, so it is no link. */
function Enrolled({ names }: { names: readonly string[] | undefined }) {
  if (!names?.length) {
    return (
      <Text as="span" color="fg.muted">
        {names ? "nobody" : "–"}
      </Text>
    );
  }
  const others = names.length - NAMED;
  return (
    <Text overflowWrap="anywhere">
      <Names names={names.slice(0, NAMED)} />
      {others > 0 && ` and ${others} more`}
    </Text>
  );
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
        await api.post("/enroll-tokens/{token_id}/revoke", undefined, { path: { token_id: token.id } });
        await client.invalidateQueries({ queryKey: keyOf("/enroll-tokens") });
        return undefined;
      }}
    >
      Nobody can enrol with it any more: {token.uses_left === 1 ? "its last use is" : `${token.uses_left} uses are`}{" "}
      lost. Workers that were enrolled with it stay.
    </ConfirmDialog>
  );
}
