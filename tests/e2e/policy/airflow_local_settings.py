"""A centre's policy with which a Dag runs on the executor that its run's id begins with."""

from __future__ import annotations

from typing import Any


def task_instance_mutation_hook(task_instance: Any) -> None:
    """Choose the executor; runs that a Dag starts by itself have the default one."""
    executor = (task_instance.run_id or "").partition("__")[0]
    if executor in {"EdgeExecutor", "LocalExecutor"}:
        task_instance.executor = executor
