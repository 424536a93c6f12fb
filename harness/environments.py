"""The virtual environments that `make` lays out in this repository."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


OTHER_AIRFLOWS = ("3.2", "3.4")
"""The supported versions beside the one that development is done with."""


def centre() -> Path:
    """Airflow with the project in it: where this process runs, if that is one, else 3.3."""
    here = Path(sys.prefix)
    return here if here in {_ROOT / _of(version) for version in OTHER_AIRFLOWS} else _made(".venv", "setup")


def centre_of(version: str) -> Path:
    """Another supported Airflow with the project in it."""
    return _made(_of(version), f"env-airflow-{version}")


def worker() -> Path:
    """What a site has: `airflow-edge[worker]` and nothing else."""
    return _made(".build/worker", "env-worker")


def edge3() -> Path:
    """The peer: Airflow 3.3 with the provider edge3."""
    return _made(".build/edge3", "env-edge3")


def _of(version: str) -> str:
    return f".build/airflow-{version}"


def _made(folder: str, target: str) -> Path:
    venv = _ROOT / folder
    if not (venv / "bin" / "python").exists():
        raise FileNotFoundError(f"no environment in {folder}: run `make {target}`")
    return venv
