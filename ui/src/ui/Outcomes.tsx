/** What came of an action, worker by worker; what waits for a worker is followed to its end. */
import { Link as Anchor, List, Span } from "@chakra-ui/react";
import { Link } from "react-router-dom";
import { useLive } from "../api/query.ts";
import { at } from "../place.ts";
import { count } from "../words.ts";
import { Status, type Tone } from "./Status.tsx";

/** As the API gives it. `would`: nothing was done yet, this is what would be. */
export type Outcome = {
  worker: string;
  result: string;
  detail: string;
  order_id?: string | null;
  job_id?: string | null;
};

const TONES: Record<string, Tone> = { done: "good", waiting: "busy", refused: "bad", would: "busy" };
/** So many are told one by one. */
const ONE_BY_ONE = 5;
/** So many different ends of many; what goes wrong is among them. */
const MOST = 50;

/** Give those with the same end together, what went wrong first. */
export function grouped(outcomes: readonly Outcome[]): Outcome[][] {
  const groups = new Map<string, Outcome[]>();
  for (const outcome of outcomes) {
    const key = `${outcome.result} ${outcome.detail}`;
    groups.set(key, [...(groups.get(key) ?? []), outcome]);
  }
  const place = (group: Outcome[]) => (group[0]?.result === "refused" ? 0 : 1);
  return [...groups.values()].sort((one, other) => place(one) - place(other) || other.length - one.length);
}

export function Outcomes({ outcomes }: { outcomes: readonly Outcome[] }) {
  if (outcomes.length === 0) return <Span color="fg.muted">It touches no worker.</Span>;
  const groups = grouped(outcomes);
  const left = groups.slice(MOST).flat().length;
  return (
    <List.Root variant="plain" gap={1} role="list">
      {outcomes.length <= ONE_BY_ONE
        ? outcomes.map((outcome) => (
            <List.Item key={outcome.worker}>
              {outcome.job_id ? (
                <FollowedJob worker={outcome.worker} job={outcome.job_id} />
              ) : outcome.order_id && outcome.result === "waiting" ? (
                <Followed outcome={outcome} order={outcome.order_id} />
              ) : (
                <Told names={[outcome.worker]} outcome={outcome} />
              )}
            </List.Item>
          ))
        : groups.slice(0, MOST).map((group) => {
            const [outcome] = group;
            return (
              outcome && (
                <List.Item key={`${outcome.result} ${outcome.detail}`}>
                  <Told names={group.map(({ worker }) => worker)} outcome={outcome} />
                </List.Item>
              )
            );
          })}
      {outcomes.length > ONE_BY_ONE && left > 0 && <List.Item>and {count(left, "other worker")}</List.Item>}
    </List.Root>
  );
}

function Followed({ outcome, order }: { outcome: Outcome; order: string }) {
  const { data } = useLive("/orders/{order_id}", { path: { order_id: order } }, { every: 1000 });
  return <Told names={[outcome.worker]} outcome={{ ...outcome, ...data }} />;
}

/** A test job: how far it is, and where all of it is told. */
function FollowedJob({ worker, job }: { worker: string; job: string }) {
  const { data } = useLive("/jobs/{job_id}", { path: { job_id: job } }, { every: 1000 });
  const tones: Record<string, Tone> = { succeeded: "good", failed: "bad", lost: "bad", cancelled: "bad" };
  const state = data?.state ?? "queued";
  return (
    <Status tone={tones[state] ?? "busy"}>
      <b>{worker}</b>: the test job {state === "succeeded" ? "went there and back" : `is ${state}`}
      {data?.reason && `: ${data.reason}`}{" "}
      <Anchor asChild variant="underline">
        <Link to={at("jobs", job)}>Look at it</Link>
      </Anchor>
    </Status>
  );
}

function Told({ names, outcome: { result, detail } }: { names: readonly string[]; outcome: Outcome }) {
  const whom = names.length === 1 ? names[0] : count(names.length, "worker");
  return (
    <Status tone={TONES[result] ?? "quiet"} {...(names.length > 1 && { title: names.slice(0, 50).join(", ") })}>
      <b>{whom}</b>: {result === "would" ? "" : `${result}${detail ? ", " : ""}`}
      {detail}
    </Status>
  );
}
