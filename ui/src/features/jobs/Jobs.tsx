/** Placeholder: the jobs. */
import { Empty } from "../../ui/Empty.tsx";

export function Jobs() {
  return <Empty title="Jobs" />;
}
