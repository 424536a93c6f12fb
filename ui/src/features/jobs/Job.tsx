/** Placeholder: one job. */
import { useParams } from "react-router-dom";
import { Empty } from "../../ui/Empty.tsx";

export function Job() {
  const { id } = useParams();
  return <Empty title={`Job ${id}`} />;
}
