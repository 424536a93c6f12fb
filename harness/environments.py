"""The virtual environments that `make` lays out in this repository."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def centre() -> Path:
    """Airflow 3.3 with the project in it."""
    return _made(".venv", "setup")


def centre_3_2() -> Path:
    """The oldest supported Airflow with the project in it."""
    return _made(".build/airflow-3.2", "env-airflow-3.2")


def worker() -> Path:
    """What a site has: `airflow-edge[worker]` and nothing else."""
    return _made(".build/worker", "env-worker")


def edge3() -> Path:
    """The peer: Airflow 3.3 with the provider edge3."""
    return _made(".build/edge3", "env-edge3")


def _made(folder: str, target: str) -> Path:
    venv = _ROOT / folder
    if not (venv / "bin" / "python").exists():
        raise FileNotFoundError(f"no environment in {folder}: run `make {target}`")
    return venv
