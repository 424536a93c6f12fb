/** The facts of one worker as they stand in the table. */
import { Fragment, memo } from "react";
import { Link } from "react-router-dom";
import { at, taskInstance } from "../../place.ts";
import { lineOf } from "../../ui/Sparkline.tsx";
import type { Tone } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { bytes } from "../../words.ts";
import type { HeldTask, WorkerDocument } from "./documents.ts";
import { capital, LINK_TONE, LOAD_TONE, percent, SEVERITY_TONE, SEVERITY_WORD, STANCE_TONE } from "./facts.ts";

// Plain elements, dressed by the table's one style sheet: a page has some thousand of them.

export function Fact({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className="fact" data-tone={tone}>
      {capital(children)}
    </span>
  );
}

/** Whether it is there, and, where it is not, when it was last heard from. */
export function LinkFact({ worker: { link, last_seen_at } }: { worker: WorkerDocument }) {
  return (
    <>
      <Fact tone={LINK_TONE[link]}>{link}</Fact>
      {link !== "linked" && last_seen_at && (
        <span className="more">
          heard <Time at={last_seen_at} />
        </span>
      )}
    </>
  );
}

export function StanceFact({ worker }: { worker: WorkerDocument }) {
  const { stance, maintenance_comment, maintenance_until, order_waiting } = worker;
  return (
    <>
      <Fact tone={STANCE_TONE[stance]}>{stance}</Fact>
      {stance === "maintenance" && maintenance_comment && (
        <span className="more clamp" title={maintenance_comment}>
          {maintenance_comment}
        </span>
      )}
      {stance === "maintenance" && maintenance_until && (
        <span className="more">
          ends <Time at={maintenance_until} />
        </span>
      )}
      {order_waiting && <span className="more">Asked: {order_waiting.kind}</span>}
    </>
  );
}

export function LoadFact({ worker }: { worker: WorkerDocument }) {
  const { load, taken_slots, concurrency } = worker;
  const share = concurrency > 0 ? Math.min(1, taken_slots / concurrency) : 0;
  return (
    <>
      <span className="pair">
        <Fact tone={LOAD_TONE[load]}>{load}</Fact>
        <span className="count">
          {taken_slots} of {concurrency}
        </span>
      </span>
      <span className="bar" aria-hidden data-full={share >= 1 || undefined}>
        <span style={{ width: `${share * 100}%` }} />
      </span>
    </>
  );
}

export function Queues({ queues, team }: { queues: readonly string[]; team: string | null }) {
  const shown = queues.slice(0, 2);
  return (
    <span title={queues.join(", ")}>
      {shown.map((queue, place) => (
        <Fragment key={queue}>
          {place > 0 && ", "}
          <Link to={`${at("queues")}?${new URLSearchParams({ search: queue })}`}>{queue}</Link>
        </Fragment>
      ))}
      {queues.length > shown.length && (
        <span className="muted" title={queues.slice(2).join(", ")}>
          {` +${queues.length - shown.length}`}
        </span>
      )}
      {team && <span className="more">Team {team}</span>}
    </span>
  );
}

/** Name a task as people do: the Dag, the task and, where it is mapped, which of them. */
export function taskName(task: Pick<HeldTask, "kind" | "dag_id" | "task_id" | "map_index">): string {
  if (!task.task_id) return task.dag_id ? `${task.dag_id} (${task.kind})` : task.kind;
  return `${task.dag_id} / ${task.task_id}${task.map_index >= 0 ? ` [${task.map_index}]` : ""}`;
}

export function TaskLink({ task }: { task: HeldTask }) {
  const name = taskName(task);
  const title = `${name}, run ${task.run_id}, try ${task.try_number}`;
  return task.task_id ? (
    <Link to={taskInstance(task)} title={title}>
      {name}
    </Link>
  ) : (
    <Link to={at("jobs", task.job_id)}>{name}</Link>
  );
}

export function Tasks({ worker }: { worker: WorkerDocument }) {
  const shown = worker.tasks.slice(0, 2);
  const others = worker.jobs - shown.length;
  if (worker.jobs === 0) return <span className="muted">–</span>;
  return (
    <>
      {shown.map((task) => (
        <span className="line" key={task.job_id}>
          <TaskLink task={task} />
        </span>
      ))}
      {others > 0 && (
        <Link className="more" to={`${at("jobs")}?${new URLSearchParams({ worker: worker.name, state: "running" })}`}>
          {shown.length ? `+${others} more` : `${others} running`}
        </Link>
      )}
    </>
  );
}

const LIMITS = { cpu_percent: 90, memory_percent: 90 } as const;

type Measured = "cpu_percent" | "memory_percent" | "disk_free";

/** The value now, and how it was in the last quarter of an hour. */
export const Measure = memo(function Measure({ worker, series }: { worker: WorkerDocument; series: Measured }) {
  const value = worker.latest?.[series] ?? null;
  const spark = worker.spark?.[series] ?? [];
  if (value === null) return <span className="muted">–</span>;
  const most = series === "disk_free" ? Math.max(value, ...spark.map((one) => one ?? 0)) : 100;
  const high = series !== "disk_free" && value >= LIMITS[series];
  return (
    <>
      <span className="count" data-high={high || undefined}>
        {series === "disk_free" ? bytes(value) : percent(value)}
      </span>
      {spark.length > 1 && (
        <svg className="spark" aria-hidden="true" viewBox="0 0 64 18" data-high={high || undefined}>
          <path d={lineOf(spark, most)} />
        </svg>
      )}
    </>
  );
});

export function Version({ worker }: { worker: WorkerDocument }) {
  const { agent_version, airflow_version, version_refused, version_warning } = worker;
  if (!agent_version) return <span className="muted">–</span>;
  const tone: Tone = version_refused ? "bad" : version_warning ? "warning" : "good";
  return (
    <span title={version_refused || version_warning || undefined}>
      {tone === "good" ? (
        agent_version
      ) : (
        <span className="fact" data-tone={tone}>{`${agent_version} ${version_refused ? "refused" : "differs"}`}</span>
      )}
      {airflow_version && <span className="more whole">Airflow {airflow_version}</span>}
    </span>
  );
}

/** What is said of a worker by itself; the worst is first. */
export function Sentences({ worker }: { worker: WorkerDocument }) {
  const [first, ...others] = worker.attention;
  if (!first) return <span className="muted">–</span>;
  return (
    <span title={worker.attention.map((one) => one.sentence).join("\n")}>
      <span className="fact" data-tone={SEVERITY_TONE[first.severity]}>
        {SEVERITY_WORD[first.severity]}
      </span>
      <span className="clamp sentence">{first.sentence}</span>
      {others.length > 0 && <span className="more">+{others.length} more</span>}
    </span>
  );
}
