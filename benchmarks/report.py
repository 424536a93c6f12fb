"""The comparison table, and the record of a run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.measures import Figures
from harness import environments

RESULTS = Path(__file__).parent / "results"


def table(figures: Mapping[str, Figures]) -> str:
    """A row for each peer: medians in seconds, and how many times airflow-edge's (else the first row's) they are."""
    base = figures.get("edge") or next(iter(figures.values()))
    rows = [("", "queued → started", "×", "40-task fan-out", "×")]
    for name, peer in figures.items():
        rows.append(
            (
                name,
                f"{peer.queued_to_started.median:.3f} s",
                f"{peer.queued_to_started.median / base.queued_to_started.median:.2f}",
                f"{peer.fan_out.median:.1f} s",
                f"{peer.fan_out.median / base.fan_out.median:.2f}",
            )
        )
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each, one below the other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write(figures: Mapping[str, Figures], *, what: str, command: str, settings: Mapping[str, object]) -> Path:
    """Write everything that was measured, and on what, to `results/<date>-<what>.json`."""
    seconds = {name: peer.as_json() for name, peer in figures.items()}
    return save(what, command=command, settings=settings, peers=list(figures), seconds=seconds)


def save(
    what: str,
    *,
    command: str,
    settings: Mapping[str, object],
    peers: Sequence[str],
    **figures: Mapping[str, object],
) -> Path:
    """Write the record of a run to `results/<date>-<what>.json`.

    :param peers: those that were measured
    :param figures: what was measured, under the name of its unit
    """
    now = datetime.now(UTC)
    record = {
        "what": what,
        "when": now.isoformat(timespec="seconds"),
        "command": command,
        "settings": dict(settings),
        "machine": machine(),
        "versions": {name: versions(name) for name in peers},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d}-{what}.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return path


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    return {
        "system": platform.platform(terse=True),
        "processor": platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average_at_end": [round(load, 2) for load in os.getloadavg()],
    }


def versions(peer: str) -> dict[str, str]:
    """Which releases a peer consists of."""
    venv = environments.edge3() if peer == "edge3" else environments.centre()
    program = (
        "import importlib.metadata as m, json, platform;"
        "print(json.dumps({d.name: d.version for d in m.distributions() if d.name in"
        " ('apache-airflow-core', 'apache-airflow-task-sdk', 'apache-airflow-providers-edge3', 'airflow-edge')}"
        " | {'python': platform.python_version()}))"
    )
    answer = subprocess.run([venv / "bin" / "python", "-c", program], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(answer.stdout)
    return found
