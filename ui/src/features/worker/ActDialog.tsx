/** An act on workers: what it means, what has to be said with it and what would come of it; then what came of it. */
import { api } from "../../api/client.ts";
import { queries } from "../../api/query.ts";
import { ConfirmDialog } from "../../ui/ConfirmDialog.tsx";
import type { Values } from "../../ui/fields.tsx";
import type { Outcome } from "../../ui/Outcomes.tsx";
import type { WorkerDocument } from "../fleet/documents.ts";
import type { Target } from "../fleet/selection.ts";
import { type Act, bodyOf, fieldsOf, routeOf, whomOf } from "./acts.ts";

type Props = {
  act: Act;
  target: Target;
  /** How many workers that are. */
  count: number;
  /** Where it is about one: what its fields begin with. */
  worker?: WorkerDocument;
  /** Called with what was said in the fields once it was asked for. */
  onActed?: (values: Values) => void;
  onClose: () => void;
  focusAfter: () => HTMLElement | null;
};

export function ActDialog({ act, target, count, worker, onActed, onClose, focusAfter }: Props) {
  const post = (values: Values, dry: boolean): Promise<Outcome[]> =>
    api.post(routeOf(act), bodyOf(act, target, values) as never, dry ? { query: { dry_run: true } } : {}) as Promise<
      Outcome[]
    >;
  return (
    <ConfirmDialog
      title={act.title(whomOf(target, count))}
      confirm={act.label}
      danger={act.danger ?? false}
      fields={fieldsOf(act, worker)}
      preview={(values) => post(values, true)}
      act={async (values) => {
        const outcomes = await post(values, false);
        onActed?.(values);
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
