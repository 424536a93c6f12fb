/** Before something is done: what it means; after it: what came of it. */
import { Button, CloseButton, Dialog, Portal, Stack, Text } from "@chakra-ui/react";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { ErrorNote } from "./ErrorNote.tsx";
import { complete, type FieldOf, FormField, initial, type Values } from "./fields.tsx";
import { type Outcome, Outcomes } from "./Outcomes.tsx";

type Props = {
  onClose: () => void;
  /** A question or the action's name: "Take press-7 into maintenance". */
  title: string;
  /** What happens, in a sentence or two. */
  children?: ReactNode;
  /** The word on the button: the verb, never "OK". */
  confirm: string;
  /** Whether something is lost. */
  danger?: boolean;
  fields?: readonly FieldOf[];
  /**
   * Asks what would come of it (`dry_run`); shown before it can be confirmed, and asked again when a field changes that
   * is not just for people to read, and while something is refused. Where it gets no answer, nothing is confirmed: it can be asked again.
   */
  preview?: (values: Values) => Promise<readonly Outcome[]>;
  /** Does it. What it gives is shown; where it gives nothing, the dialog closes. */
  act: (values: Values) => Promise<readonly Outcome[] | undefined>;
  /** Called after it was done: read anew what has changed. */
  onDone?: () => unknown;
  /** Where the focus goes afterwards; to what had it before, if that is still there. */
  focusAfter?: () => HTMLElement | null;
};

/** Mount it when it is to be seen: `{asked && <ConfirmDialog … onClose={() => setAsked(false)} />}`. */
export function ConfirmDialog({ onClose, title, children, confirm, danger = false, fields = [], ...rest }: Props) {
  const { preview, act, onDone, focusAfter } = rest;
  const [values, setValues] = useState(() => initial(fields));
  const [error, setError] = useState<Error>();
  const [acting, setActing] = useState(false);
  const [told, setTold] = useState<readonly Outcome[]>();
  const expected = usePreview(preview, fields, values);
  // Nobody confirms what they do not know.
  const sensible = preview === undefined || (expected.outcomes?.some(({ result }) => result !== "refused") ?? false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    // A dialog stands in the page's tree, though not in its document: the form around it is not meant.
    event.stopPropagation();
    setActing(true);
    setError(undefined);
    try {
      const outcomes = await act(values);
      onDone?.();
      if (outcomes === undefined) onClose();
      else setTold(outcomes);
    } catch (refused) {
      setError(refused as Error);
    } finally {
      setActing(false);
    }
  };

  return (
    <Dialog.Root
      open
      role={danger ? "alertdialog" : "dialog"}
      placement="center"
      closeOnInteractOutside={!acting}
      closeOnEscape={!acting}
      onOpenChange={({ open }) => !open && onClose()}
      {...(focusAfter && { finalFocusEl: focusAfter })}
    >
      <Portal>
        <Dialog.Backdrop />
        <Dialog.Positioner>
          <Dialog.Content maxW="36rem" mx={3} overflowWrap="anywhere">
            <form onSubmit={submit}>
              <Dialog.Header>
                <Dialog.Title>{title}</Dialog.Title>
              </Dialog.Header>
              <Dialog.Body>
                <Stack gap={4} aria-live="polite">
                  {told ? (
                    <Outcomes outcomes={told} />
                  ) : (
                    <>
                      <Dialog.Description as="div">{children}</Dialog.Description>
                      {fields.map((field) => (
                        <FormField
                          key={field.name}
                          field={field}
                          value={values[field.name]}
                          onChange={(value) => setValues((before) => ({ ...before, [field.name]: value }))}
                        />
                      ))}
                      {preview && expected.asked && <Expected {...expected} />}
                    </>
                  )}
                  {error && <ErrorNote error={error} />}
                </Stack>
              </Dialog.Body>
              <Dialog.Footer>
                <Button type="button" variant="outline" onClick={onClose} disabled={acting}>
                  {told ? "Close" : "Cancel"}
                </Button>
                {!told && (
                  <Button
                    type="submit"
                    colorPalette={danger ? "red" : "brand"}
                    loading={acting}
                    loadingText={confirm}
                    disabled={!complete(fields, values) || !sensible}
                  >
                    {confirm}
                  </Button>
                )}
              </Dialog.Footer>
              <Dialog.CloseTrigger asChild>
                <CloseButton type="button" size="sm" aria-label="Close" disabled={acting} />
              </Dialog.CloseTrigger>
            </form>
          </Dialog.Content>
        </Dialog.Positioner>
      </Portal>
    </Dialog.Root>
  );
}

type Preview = {
  asked: boolean;
  pending: boolean;
  outcomes?: readonly Outcome[] | undefined;
  error?: Error | undefined;
  retry: () => void;
};

/** Milliseconds after the last key before it is asked again. */
const PAUSE = 300;
/** Milliseconds after which it is asked again while something is refused: what is starting now may have started then. */
const AGAIN = 3000;

/** What would come of it with what is in the fields; not asked while something is missing there. */
function usePreview(preview: Props["preview"], fields: readonly FieldOf[], values: Values): Preview {
  const concerned = fields.filter(({ kind }) => kind !== "comment" && kind !== "until");
  const ready = preview !== undefined && complete(concerned, values);
  const [tries, setTries] = useState(1);
  const question = ready ? JSON.stringify([tries, ...concerned.map(({ name }) => values[name])]) : undefined;
  const [answer, setAnswer] = useState<{ to?: string; outcomes?: readonly Outcome[]; error?: Error }>({});
  const latest = useRef({ preview, values });
  latest.current = { preview, values };
  const hasty = useRef(true);
  useEffect(() => {
    if (question === undefined) return;
    let open = true;
    const ask = () =>
      latest.current.preview?.(latest.current.values).then(
        (outcomes) => {
          if (!open) return;
          setAnswer({ to: question, outcomes });
          if (outcomes.some(({ result }) => result === "refused")) timer = window.setTimeout(ask, AGAIN);
        },
        (error: Error) => open && setAnswer({ to: question, error }),
      );
    let timer = window.setTimeout(ask, hasty.current ? 0 : PAUSE);
    hasty.current = false;
    return () => {
      open = false;
      clearTimeout(timer);
    };
  }, [question]);
  const retry = () => {
    hasty.current = true;
    setTries((before) => before + 1);
  };
  if (question === undefined) return { asked: false, pending: false, retry };
  const { to, outcomes, error } = answer;
  return to === question
    ? { asked: true, pending: false, outcomes, error, retry }
    : { asked: true, pending: true, retry };
}

function Expected({ pending, outcomes, error, retry }: Preview) {
  if (error) {
    return (
      <Stack gap={0}>
        <Text fontWeight="medium">It is not known what it would touch, so it cannot be done</Text>
        <ErrorNote error={error} retry={retry} />
      </Stack>
    );
  }
  if (pending) return <Text color="fg.muted">Looking at what it touches…</Text>;
  return (
    <Stack gap={1}>
      <Text fontWeight="medium">What would come of it</Text>
      <Outcomes outcomes={outcomes ?? []} />
    </Stack>
  );
}
