"""What the commands of `airflow edge` that change queues do: they parse, call and print."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from airflow.utils.platform import getuser

from airflow_edge.admin.config import session
from airflow_edge.admin.pauses import Pauses, QueueOutcome
from airflow_edge.cli.centre.common import audited, print_as, queue_names
from airflow_edge.store.store import Store


@audited
def pause_queue(args: argparse.Namespace) -> None:
    """Have no job of these queues handed out."""
    queues = queue_names(",".join(args.queues))
    _show(args, Pauses(Store(session)).pause(queues, args.team, args.note or "", by=getuser()))


@audited
def resume_queue(args: argparse.Namespace) -> None:
    """Have jobs of these queues handed out again."""
    queues = queue_names(",".join(args.queues))
    _show(args, Pauses(Store(session)).resume(queues, args.team, by=getuser()))


def _show(args: argparse.Namespace, outcomes: list[QueueOutcome]) -> None:
    print_as([{**asdict(one), "team_name": one.team_name or ""} for one in outcomes], args.output)
