/** Placeholder: the guided set-up. */
import { Empty } from "../../ui/Empty.tsx";

export function AddWorker() {
  return <Empty title="Add a worker" />;
}
