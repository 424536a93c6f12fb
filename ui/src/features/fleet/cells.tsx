/** The facts of one worker as they stand in the table. */
import { Fragment, memo } from "react";
import { Link } from "react-router-dom";
import { at, taskInstance } from "../../place.ts";
import { lineOf } from "../../ui/Sparkline.tsx";
import type { Tone } from "../../ui/Status.tsx";
import { Time } from "../../ui/Time.tsx";
import { bytes } from "../../words.ts";
import type { HeldTask, WorkerDocument } from "./documents.ts";
import { capital, LINK_TONE, percent, SEVERITY_TONE, STANCE_TONE } from "./facts.ts";

// Plain elements, dressed by the table's one style sheet: a page has some thousand of them.

export function Fact({ tone, children }: { tone: Tone; children: string }) {
  return (
    <span className="fact" data-tone={tone}>
      {capital(children)}
    </span>
  );
}

const NOTHING = <span className="muted">–</span>;

/** Whether anything runs there, or may. */
const isThere = ({ link }: WorkerDocument) => link === "linked" || link === "out of reach";

/** Kinds of remarks that another cell says: who is out of reach, held back or refused, and who was asked for something. */
const SAID = new Set(["out of reach", "held back", "version refused", "version warning", "order waiting"]);

/** Which machine it is, and what no other cell says of it. */
export function Machine({ worker: { name, host_name, address, attention } }: { worker: WorkerDocument }) {
  const known = [host_name, address].filter(Boolean);
  const machine = known.find((one) => one !== name);
  return (
    <>
      {machine && (
        <span className="more host" title={known.join(" at ")}>
          {machine}
        </span>
      )}
      {attention
        .filter(({ kind }) => !SAID.has(kind))
        .map(({ kind, severity, sentence, why }) => (
          <span className="more" key={kind}>
            <span className="fact" data-tone={SEVERITY_TONE[severity]} title={why || sentence}>
              {capital(kind)}
            </span>
          </span>
        ))}
    </>
  );
}

/** Whether it is there, and, where it is not, when it was last heard from and until when what it has is waited for. */
export function LinkFact({ worker }: { worker: WorkerDocument }) {
  const { link, last_seen_at, running_jobs_lost_after } = worker;
  return (
    <>
      <Fact tone={LINK_TONE[link]}>{link}</Fact>
      {link !== "linked" && last_seen_at && (
        <span className="more">
          heard <Time at={last_seen_at} />
        </span>
      )}
      {running_jobs_lost_after && (
        <span className="more whole">
          jobs lost <Time at={running_jobs_lost_after} />
        </span>
      )}
    </>
  );
}

export function StanceFact({ worker }: { worker: WorkerDocument }) {
  const { stance, maintenance_comment, maintenance_by, maintenance_until, order_waiting } = worker;
  const held = stance === "held back" && !worker.version_refused ? worker.conditions : "";
  return (
    <>
      {/* That it is away, and how, is what its link says. */}
      {stance === "away" ? NOTHING : <Fact tone={STANCE_TONE[stance]}>{stance}</Fact>}
      {held && (
        <span className="more clamp" title={held}>
          {held}
        </span>
      )}
      {stance === "maintenance" && maintenance_comment && (
        <span className="more clamp" title={maintenance_comment}>
          <bdi>{maintenance_comment}</bdi>
        </span>
      )}
      {stance === "maintenance" && maintenance_by && (
        <span className="more">
          by <bdi>{maintenance_by}</bdi>
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
  if (!isThere(worker) && worker.jobs === 0) return NOTHING;
  const share = concurrency > 0 ? Math.min(1, taken_slots / concurrency) : 0;
  return (
    <>
      <span className="pair">
        <span className={load === "idle" ? "muted" : undefined}>{capital(load)}</span>
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
          <Link to={`${at("queues")}?${new URLSearchParams({ search: queue })}`}>
            <bdi>{queue}</bdi>
          </Link>
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
      <bdi>{name}</bdi>
    </Link>
  ) : (
    <Link to={at("jobs", task.job_id)}>{name}</Link>
  );
}

export function Tasks({ worker }: { worker: WorkerDocument }) {
  const shown = worker.tasks.slice(0, 2);
  const others = worker.jobs - shown.length;
  if (worker.jobs === 0) return NOTHING;
  return (
    <>
      {shown.map((task) => (
        <span className="line" key={task.job_id}>
          <span className="cut">
            <TaskLink task={task} />
          </span>
          <span className="muted count">
            {task.started_at ? <Time at={task.started_at} as="for" /> : capital(task.state)}
          </span>
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

const sayOf = (series: Measured) => (series === "disk_free" ? bytes : percent);

/** The value now, and how it was in the last quarter of an hour; nothing of one that says nothing now. */
export const Measure = memo(function Measure({ worker, series }: { worker: WorkerDocument; series: Measured }) {
  const value = worker.latest?.[series] ?? null;
  // The free room of a disk has no top to draw it against.
  const spark = series === "disk_free" ? [] : (worker.spark?.[series] ?? []);
  if (value === null) return NOTHING;
  if (worker.link !== "linked") return <span title={`It was ${sayOf(series)(value)} last`}>{NOTHING}</span>;
  const high = series !== "disk_free" && value >= LIMITS[series];
  return (
    <>
      <span className="count" data-high={high || undefined}>
        {sayOf(series)(value)}
      </span>
      {spark.length > 1 && (
        <svg className="spark" aria-hidden="true" viewBox="0 0 64 18" data-high={high || undefined}>
          <path d={lineOf(spark, 100)} />
        </svg>
      )}
    </>
  );
});

export function Version({ worker }: { worker: WorkerDocument }) {
  const { agent_version, airflow_version, version_refused, version_warning } = worker;
  if (!agent_version) return NOTHING;
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
