/** Placeholder: the queues. */
import { Empty } from "../../ui/Empty.tsx";

export function Queues() {
  return <Empty title="Queues" />;
}
