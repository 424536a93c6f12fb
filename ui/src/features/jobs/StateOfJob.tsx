import { Status } from "../../ui/Status.tsx";
import { type JobState, STATES } from "./job.ts";

/** A job's state as a mark and a word. */
export function StateOfJob({ state }: { state: JobState }) {
  const { word, tone, meaning } = STATES[state];
  return (
    <Status tone={tone} title={meaning}>
      {word}
    </Status>
  );
}
