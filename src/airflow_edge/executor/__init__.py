"""`EdgeExecutor`: Airflow's executor interface on one side, the store on the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_edge.executor.executor import EdgeExecutor

__all__ = ["EdgeExecutor"]


def __getattr__(name: str) -> Any:
    """Import the executor, and with it Airflow, only for those who ask for it."""
    if name != "EdgeExecutor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_edge.executor.executor import EdgeExecutor

    return EdgeExecutor
