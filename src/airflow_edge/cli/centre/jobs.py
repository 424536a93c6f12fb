"""What the commands of `airflow edge` about jobs and queues do."""

from __future__ import annotations

import argparse
import re
from typing import Final

from airflow_edge.admin.config import session
from airflow_edge.admin.fleet import Fleet
from airflow_edge.cli.centre.common import (
    TABLES,
    audited,
    harmless,
    one_of,
    patience,
    print_as,
    say,
    warn_if_unserved,
    watch,
)
from airflow_edge.protocol.states import JOB_OPEN, JobState
from airflow_edge.rules.fleet.queues import QueueView
from airflow_edge.rules.overview import JobFilter, JobView
from airflow_edge.store.store import Store


@audited
def list_jobs(args: argparse.Namespace) -> None:
    """List jobs."""
    wanted = JobFilter(
        dag_id=args.dag_id,
        run_id=args.run_id,
        queue=args.queue,
        worker=args.worker,
        team_name=args.team,
        states=frozenset(one_of(JobState, args.state)),
    )
    watch(args, lambda: _show_jobs(args, wanted))


_JOBS: Final = {
    "short_id": 8,
    "dag_id": 14,
    "run_id": 13,
    "task_id": 13,
    "job": 9,
    "task_state": 10,
    "queue": 8,
    "worker": 9,
    "queued_at": 10,
}
_QUEUES: Final = {
    "queue": 20,
    "team": 8,
    "queued": 6,
    "running": 7,
    "oldest_queued_at": 16,
    "workers": 7,
    "free_slots": 10,
    "trouble": 18,
}


def _show_jobs(args: argparse.Namespace, wanted: JobFilter) -> None:
    store = Store(session)
    page = store.fleet.find_jobs(wanted, order="-queued_at", limit=args.limit)
    print_as(
        [
            {
                "id": str(job.id),
                "short_id": str(job.id)[:8],
                "kind": job.kind,
                # It has none of Airflow's ids.
                "dag_id": "(test job)" if job.kind == "test" and args.output in TABLES else job.dag_id,
                "run_id": job.run_id,
                "task_id": job.task_id,
                "map_index": job.map_index,
                "try": job.try_number,
                "state": job.state.value,
                # The process ended with status 0, which says nothing of the task.
                "job": "ended" if job.state is JobState.SUCCEEDED else job.state.value,
                "task_state": job.task_state or "",
                "queue": job.queue,
                "worker": job.worker,
                "slots": job.slots,
                "queued_at": job.queued_at,
                "started_at": job.started_at,
                "ended_at": job.ended_at,
                "reason": job.reason,
            }
            for job in page.items
        ],
        args.output,
        _JOBS,
    )
    if args.output in TABLES:
        warn_if_unserved(store)
    if page.total > len(page.items):
        say(f"These are the newest {len(page.items)} of {page.total}; see --limit and the filters.")


@audited
def list_queues(args: argparse.Namespace) -> None:
    """List queues, with what waits in them and who serves them."""
    watch(args, lambda: _show_queues(args))


def _show_queues(args: argparse.Namespace) -> None:
    store = Store(session)
    print_as(
        [
            {
                "queue": queue.queue,
                "team": queue.team_name or "",
                "queued": queue.queued,
                "running": queue.running,
                "oldest_queued_at": queue.oldest_queued_at,
                "workers": queue.workers,
                "ready_workers": queue.ready_workers,
                "free_slots": queue.free_slots,
                "trouble": _trouble(queue),
                "paused": str(queue.paused or ""),
            }
            for queue in Fleet(store).queues()
        ],
        args.output,
        _QUEUES,
    )
    if args.output in TABLES:
        warn_if_unserved(store)


def _trouble(queue: QueueView) -> str:
    if queue.paused is not None:
        return "paused"
    return "! nobody serves it" if queue.queued and not queue.ready_workers else ""


@audited
def explain_job(args: argparse.Namespace) -> None:
    """Say in one sentence why a task is not running."""
    # Airflow's models of Dags and tasks, which no other command waits for.
    from airflow_edge.admin.explaining import explain_task

    store = Store(session)
    ids = args.dag_id, args.run_id, args.task_id, args.map_index
    if args.task_id is None:
        job = _job_named(store, args.dag_id)
        if job.kind == "test":
            print(harmless(_about_test(store, job)))
            return
        ids = job.dag_id, job.run_id, job.task_id, job.map_index
    found = explain_task(store, *ids)
    for line in (found.sentence, *found.denied):
        print(harmless(line))


def _about_test(store: Store, job: JobView) -> str:
    if job.state in JOB_OPEN:
        return Fleet(store).explain_test(job, patience=patience()).sentence
    how = "It ended well" if job.state is JobState.SUCCEEDED else f"It did not end well ({job.state}): {job.reason}"
    return f"It is a test job of worker '{job.worker}'. {how.rstrip('.')}."


def _job_named(store: Store, beginning: str) -> JobView:
    """Give the only job whose id begins like this.

    :raises SystemExit: there is none, or there are several, or it is no beginning of an id.
    """
    if not re.fullmatch(r"[0-9a-fA-F-]{4,36}", beginning):
        raise SystemExit("Say which task: DAG RUN TASK, or how its job's id begins: airflow edge list-jobs")
    jobs = store.fleet.jobs_beginning(beginning.lower().replace("-", ""))
    if len(jobs) != 1:
        found = "No job's id begins" if not jobs else "Several jobs' ids begin"
        raise SystemExit(f"{found} with '{beginning}'; see: airflow edge list-jobs")
    return jobs[0]
