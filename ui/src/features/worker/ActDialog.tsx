/** An act on workers: what it means, what has to be said with it and what would come of it; then what came of it. */
import { useRef } from "react";
import { api } from "../../api/client.ts";
import { queries } from "../../api/query.ts";
import { ConfirmDialog } from "../../ui/ConfirmDialog.tsx";
import type { Values } from "../../ui/fields.tsx";
import type { Outcome } from "../../ui/Outcomes.tsx";
import type { WorkerDocument } from "../fleet/documents.ts";
import type { Target } from "../fleet/selection.ts";
import { type Act, bodyOf, fieldsOf, routeOf, whomOf } from "./acts.ts";

/** Workers that the API takes by name at once. */
const MOST_NAMED = 5000;

type Props = {
  act: Act;
  target: Target;
  /** How many workers that are, where the title is to say so. */
  count?: number;
  /** What is asked, where it is not the act's own words with its object. */
  title?: string;
  /** Where it is about one: what its fields begin with. */
  worker?: WorkerDocument;
  /** Called with what was said in the fields once it was asked for. */
  onActed?: (values: Values, outcomes: readonly Outcome[]) => void;
  onClose: () => void;
  focusAfter: () => HTMLElement | null;
};

export function ActDialog({ act, target, count = 0, title, worker, onActed, onClose, focusAfter }: Props) {
  const shown = useRef<readonly string[]>([]);
  const post = (of: Target, values: Values, dry: boolean): Promise<Outcome[]> =>
    api.post(routeOf(act), bodyOf(act, of, values) as never, {
      path: { name: ("workers" in of && of.workers[0]) || "" },
      ...(dry && { query: { dry_run: true } }),
    }) as Promise<Outcome[]>;
  const preview = async (values: Values) => {
    const outcomes = await post(target, values, true);
    shown.current = outcomes.map((outcome) => outcome.worker);
    return outcomes;
  };
  // Those that were shown, and no other that has come to fit the filter since.
  const meant = (): Target =>
    "match" in target && shown.current.length > 0 && shown.current.length <= MOST_NAMED
      ? { workers: [...shown.current] }
      : target;
  return (
    <ConfirmDialog
      title={title ?? act.title(whomOf(target, count))}
      confirm={act.label}
      danger={act.danger ?? false}
      fields={fieldsOf(act, worker)}
      preview={preview}
      act={async (values) => {
        const outcomes = await post(meant(), values, false);
        onActed?.(values, outcomes);
        return outcomes;
      }}
      onDone={() => queries.invalidateQueries({ queryKey: ["edge"] })}
      onClose={onClose}
      focusAfter={focusAfter}
    >
      {act.lead}
    </ConfirmDialog>
  );
}
