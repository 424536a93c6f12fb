"""`airflow-edge logs`: reads what lies in the state folder, whether or not a worker runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from airflow_edge.agent.config import load
from airflow_edge.agent.errors import AgentError
from airflow_edge.cli.site.job_logs import JobLog, find, job_logs

LOOK_INTERVAL = 0.2
"""Seconds between two looks at a log that is followed."""
_PIECE = 256 * 1024
_HANDLED = frozenset({"timestamp", "level", "logger", "event", "error_detail"})
"""What Airflow's task log, in which each line is a JSON object, has a place of its own for."""


def logs(arguments: argparse.Namespace) -> int:
    """List the logs that are here, or print one.

    :raises AgentError: there is no such job; the text says what to do.
    """
    config = load({"state_dir": arguments.state_dir})
    found = job_logs(config)
    try:
        if arguments.job is None:
            _list(found, config.state_dir)
        else:
            _print(find(found, arguments.job), follow=arguments.follow, raw=arguments.raw)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read this has seen enough. The interpreter would complain once more when it ends.
        sys.stderr.close()
    return 0


def _list(jobs: list[JobLog], state_dir: Path) -> None:
    if not jobs:
        print(f"no logs of jobs are in {state_dir}; if that is not the worker's folder, name it with --state-dir")
        return
    rows = [("STATE", "DAG", "RUN", "TASK", "TRY", "SIZE", "AGE", "JOB")]
    now = time.time()
    for job in jobs:
        about = job.about
        mapped = f"[{about.map_index}]" if about.map_index >= 0 else ""
        rows.append(
            (
                job.state,
                about.dag_id or "-",
                about.run_id or "-",
                f"{about.task_id}{mapped}" or about.kind,
                str(about.try_number),
                _size(job.size),
                _age(now - job.changed_at),
                job.id,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print(job: JobLog, *, follow: bool, raw: bool) -> None:
    if follow:
        _wait_for_file(job)
    try:
        with job.log_file.open("rb") as log:
            pieces = _follow(job, log) if follow else iter(lambda: log.read(_PIECE), b"")
            output = sys.stdout.buffer
            for text in pieces if raw else _readable(pieces):
                output.write(text)
                output.flush()
    except FileNotFoundError:
        raise AgentError(f"the task of job {job.id} has written nothing yet; wait for it with -f") from None


def _wait_for_file(job: JobLog) -> None:
    while not job.log_file.exists() and not job.ended():
        time.sleep(LOOK_INTERVAL)


def _follow(job: JobLog, log: BinaryIO) -> Iterator[bytes]:
    """Give what is there and what is added, until the job has ended. The file stays open when the job is put away."""
    while True:
        # Asked first: what was written before the end is read after it.
        ended = job.ended()
        while piece := log.read(_PIECE):
            yield piece
        if ended:
            return
        time.sleep(LOOK_INTERVAL)


def readable(line: bytes) -> str:
    """Give time, level, logger and event of a line, and what else it says; anything but such an object as it is."""
    text = line.decode("utf-8", "replace")
    try:
        record = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    if "event" not in record:
        return text
    head = [str(record[name]) for name in ("timestamp", "level", "logger") if record.get(name)]
    if record.get("level"):
        head[bool(record.get("timestamp"))] = f"{str(record['level']).upper():<8}"
    others = [f"{name}={_value(value)}" for name, value in record.items() if name not in _HANDLED]
    lines = [" ".join([*head, str(record["event"]), *others])]
    lines += _errors(record.get("error_detail"))
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    return msgspec.json.encode(value).decode("utf-8", "replace")


def _errors(detail: object) -> list[str]:
    """Write exceptions as Python does; anything unexpected as JSON."""
    if not detail:
        return []
    try:
        lines = []
        for error in reversed(msgspec.convert(detail, list[_Error])):
            lines.append("Traceback (most recent call last):")
            lines += [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in error.frames]
            lines.append(f"{error.exc_type}: {error.exc_value}")
    except msgspec.ValidationError:
        return [msgspec.json.encode(detail).decode("utf-8", "replace")]
    return lines


class _Frame(msgspec.Struct):
    filename: str = "?"
    lineno: int = 0
    name: str = "?"


class _Error(msgspec.Struct):
    exc_type: str = "?"
    exc_value: str = ""
    frames: list[_Frame] = []


def _readable(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if lines:
            yield "".join(f"{readable(line)}\n" for line in lines).encode("utf-8", "replace")
    if rest:
        yield f"{readable(rest)}\n".encode("utf-8", "replace")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _age(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"
