/** The policy as a text to change: checked by the API, and set after what it changes was read. */
import { Box, Button, Field, Flex, Heading, Text, Textarea } from "@chakra-ui/react";
import { useState } from "react";
import { BOUNDS } from "../../api/bounds.ts";
import { ConfirmDialog } from "../../ui/ConfirmDialog.tsx";
import { ErrorNote } from "../../ui/ErrorNote.tsx";
import { Changes } from "./Changes.tsx";
import { madeOf, type Said } from "./policy.ts";
import { DAYS, useReading, useSet, useSuggestion } from "./usePolicy.ts";

/** A text that somebody works on, and the version that it is to take the place of. */
export type Draft = { text: string; after: number };

type Props = {
  draft: Draft;
  change: (draft: Draft) => void;
  close: () => void;
  /** The version and the meaning of what is in force. */
  inForce: Said & { version: number };
};

export function Editor({ draft, change, close, inForce }: Props) {
  const reading = useReading();
  const suggestion = useSuggestion();
  const [confirming, setConfirming] = useState<{ wanted: Said; text: string }>();
  const refused = reading.error;
  return (
    <Box as="section" aria-label="Change the policy">
      <Heading as="h2" size="md" mb={2}>
        {draft.after ? `Made from version ${draft.after}` : "The first version"}
      </Heading>
      {inForce.version !== draft.after && (
        <Text role="status" color="orange.fg" mb={2}>
          Meanwhile version {inForce.version} was set. It cannot be replaced by this one: look at what has changed, take
          along what you need, and begin with it.
        </Text>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const { text } = draft;
          reading.mutate(text, { onSuccess: (wanted) => setConfirming({ wanted, text }) });
        }}
      >
        <Field.Root invalid={refused !== null}>
          <Field.Label>The policy, as YAML, JSON or TOML</Field.Label>
          <Textarea
            rows={18}
            fontFamily="mono"
            fontSize="sm"
            spellCheck={false}
            autoComplete="off"
            maxLength={BOUNDS.policy}
            placeholder={EXAMPLE}
            value={draft.text}
            onChange={(event) => change({ ...draft, text: event.target.value })}
          />
          <Field.HelperText>
            Any rule grants; what none grants is denied on queues whose mode is enforce, and noted where it is report.
          </Field.HelperText>
        </Field.Root>
        {refused && <ErrorNote error={refused} />}
        {suggestion.error && <ErrorNote error={suggestion.error} />}
        <Text role="status" fontSize="sm" my={2} overflowWrap="anywhere">
          {suggestion.data && madeOf(suggestion.data, DAYS)}
        </Text>
        <Flex gap={2} wrap="wrap">
          <Button type="submit" size="sm" loading={reading.isPending} loadingText="Reading it…">
            Set…
          </Button>
          <Button
            type="button"
            size="sm"
            variant="outline"
            loading={suggestion.isPending}
            loadingText="Looking at what was used…"
            onClick={() => suggestion.mutate(undefined, { onSuccess: ({ text }) => change({ ...draft, text }) })}
          >
            Fill in a suggestion
          </Button>
          <Button type="button" size="sm" variant="ghost" onClick={close}>
            Discard
          </Button>
        </Flex>
      </form>
      {confirming && (
        <Confirm
          inForce={inForce}
          {...confirming}
          after={draft.after}
          close={() => setConfirming(undefined)}
          done={close}
        />
      )}
    </Box>
  );
}

type ConfirmProps = {
  inForce: Said;
  wanted: Said;
  text: string;
  after: number;
  close: () => void;
  done: () => void;
};

function Confirm({ inForce, wanted, text, after, close, done }: ConfirmProps) {
  const set = useSet();
  return (
    <ConfirmDialog
      title={`Set version ${after + 1} of the policy`}
      confirm="Set the policy"
      onClose={close}
      fields={[
        {
          kind: "comment",
          name: "note",
          label: "Note",
          help: "Why: it stands beside the version with your name, and in the audit log.",
        },
      ]}
      act={async ({ note }) => {
        await set.mutateAsync({ text, note: String(note ?? "").trim(), after });
        done();
        return undefined;
      }}
    >
      <Changes before={inForce} after={wanted} />
    </ConfirmDialog>
  );
}

const EXAMPLE = `modes: {"*": report}
rules:
- note: the press reads its own PLC
  who: {dags: [press_*]}
  may: {connections: [plc_*], xcoms: ['@upstream']}`;
