"""What a site does not check again: a Dag that the centre has accepted is accepted here, whatever is configured.

In the task's process Airflow looks once more whether what a Dag names is in the configuration. At a site that is
another one, which knows less. Where Airflow goes by a setting, `environment` sets it; the rest is here.
"""

from __future__ import annotations

import faulthandler
import signal
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing import dagbag
from airflow.sdk.execution_time import task_runner

EXAMPLE_BUNDLES = ("example_dags", "-example-dags")
"""Airflow's own examples, and the end of the names of its providers' (Airflow 3.3)."""


def accept_what_the_centre_accepts() -> None:
    """Have each Dag of a file loaded, though some task of it names an executor that is not configured here.

    Nor may a site's listeners keep a Dag with `end_from_trigger` from being loaded: the centre has none, or knows.
    """
    dagbag._validate_executor_fields = _accept
    listeners = SimpleNamespace(has_listeners=False)
    dagbag.get_listener_manager = lambda: listeners  # type: ignore[assignment,attr-defined]


def let_crashes_be_crashes() -> None:
    """Have a task that crashes end: Airflow leaves a handler of SIGSEGV in its process, which returns to the crash."""
    parse = task_runner.parse

    def parse_and_tidy(*args: Any) -> Any:
        try:
            return parse(*args)
        finally:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            if faulthandler.is_enabled():
                faulthandler.enable()

    task_runner.parse = parse_and_tidy


def is_example(bundle: str) -> bool:
    """Say whether the bundle comes with Airflow: then it is at each site, and is found if `load_examples` is on."""
    return bundle.endswith(EXAMPLE_BUNDLES)


def _accept(dag: Any, bundle_name: str | None = None) -> None:
    """Stand in for the check of a Dag's executors."""
