"""Which installation and which configuration a runtime has read, once and for all, when it started."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from airflow_edge.protocol.local import GENERATION_VARIABLE


def current(environ: Mapping[str, str] = os.environ, folders: Iterable[str] = tuple(sys.path)) -> str:
    """Give a digest that changes with the installed packages, Airflow's configuration, and its environment variables.

    :param folders: where packages are installed; a package is known by its `.dist-info` folder, named with its version
    """
    digest = hashlib.sha256()
    for fact in _facts(environ, folders):
        digest.update(fact.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _facts(environ: Mapping[str, str], folders: Iterable[str]) -> Iterator[str]:
    yield sys.prefix
    for folder in folders:
        # A folder that is not there has none.
        yield from sorted(str(found) for found in Path(folder or ".").glob("*.dist-info"))
    for name in sorted(environ):
        if name == "PYTHONPATH" or (name.startswith("AIRFLOW") and name != GENERATION_VARIABLE):
            yield f"{name}={environ[name]}"
    home = environ.get("AIRFLOW_HOME") or "~/airflow"
    config = Path(environ.get("AIRFLOW_CONFIG") or f"{home}/airflow.cfg").expanduser()
    try:
        yield f"{config.stat().st_mtime_ns}"
    except OSError:
        yield "no airflow.cfg"
