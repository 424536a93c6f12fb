/** Asks before a queue is paused: what that means for its jobs, and why, for those who will wonder. */
import { Code, Text } from "@chakra-ui/react";
import { ConfirmDialog } from "../../ui/ConfirmDialog.tsx";
import { count } from "../../words.ts";
import type { Queue } from "../documents.ts";
import { usePause } from "./useQueues.ts";

export function PauseDialog({ queue, close }: { queue: Queue; close: () => void }) {
  const pause = usePause();
  const { queued, running } = queue;
  return (
    <ConfirmDialog
      title={`Pause queue ${queue.queue}`}
      confirm="Pause the queue"
      onClose={close}
      fields={[
        {
          kind: "comment",
          name: "note",
          label: "Note",
          required: true,
          help: "Stands beside the queue with your name, and where somebody asks why a task waits.",
        },
      ]}
      act={async ({ note }) => {
        await pause.mutateAsync({ ...queue, note: String(note).trim() });
        return undefined;
      }}
    >
      <Text>
        {running ? `${count(running, "job runs", "jobs run")} on to the end. ` : "Nothing runs in it. "}
        {queued ? `${count(queued, "job waits", "jobs wait")}, and no worker is given any` : "What comes now waits"}{" "}
        until somebody resumes the queue. Airflow gives up a task that stays queued for longer than{" "}
        <Code>[scheduler] task_queued_timeout</Code>.
      </Text>
    </ConfirmDialog>
  );
}
