"""What the commands of `airflow edge` about jobs and queues do."""

from __future__ import annotations

import argparse

from airflow_edge.admin.config import session
from airflow_edge.admin.fleet import Fleet
from airflow_edge.cli.centre.common import as_text, audited, harmless, one_of, print_as, say
from airflow_edge.protocol.states import JobState
from airflow_edge.rules.overview import JobFilter
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
    page = Store(session).fleet.find_jobs(wanted, order="-queued_at", limit=args.limit)
    print_as(
        [
            {
                "id": str(job.id),
                "dag_id": job.dag_id,
                "run_id": job.run_id,
                "task_id": job.task_id,
                "map_index": job.map_index,
                "try": job.try_number,
                "state": job.state.value,
                "queue": job.queue,
                "worker": job.worker,
                "slots": job.slots,
                "queued_at": as_text(job.queued_at),
                "started_at": as_text(job.started_at),
                "ended_at": as_text(job.ended_at),
                "reason": job.reason,
            }
            for job in page.items
        ],
        args.output,
    )
    if page.total > len(page.items):
        say(f"These are the newest {len(page.items)} of {page.total}; see --limit and the filters.")


@audited
def list_queues(args: argparse.Namespace) -> None:
    """List queues, with what waits in them and who serves them."""
    print_as(
        [
            {
                "queue": queue.queue,
                "team": queue.team_name or "",
                "queued": queue.queued,
                "running": queue.running,
                "oldest_queued_at": as_text(queue.oldest_queued_at),
                "workers": queue.workers,
                "ready_workers": queue.ready_workers,
                "free_slots": queue.free_slots,
            }
            for queue in Fleet(Store(session)).queues()
        ],
        args.output,
    )


@audited
def explain_job(args: argparse.Namespace) -> None:
    """Say in one sentence why a task is not running."""
    # Airflow's models of Dags and tasks, which no other command waits for.
    from airflow_edge.admin.explaining import explain_task

    found = explain_task(Store(session), args.dag_id, args.run_id, args.task_id, args.map_index)
    print(harmless(found.sentence))
