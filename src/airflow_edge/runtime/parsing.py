"""What a site does not check again: a Dag that the centre has accepted is accepted here, whatever is configured.

In the task's process Airflow looks once more whether what a Dag names is in the configuration. At a site that is
another one, which knows less. Where Airflow goes by a setting, `environment` sets it; the rest is here. So is what only
a site checks: as whom its owner lets tasks be run, which nothing says before the Dag is loaded.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing import dagbag
from airflow.sdk.api.client import getuser
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time import task_runner

from airflow_edge.protocol.local import SiteTerms

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


def let_run_as(terms: SiteTerms) -> None:
    """Have a task fail that asks to be run as a user whom the machine's owner does not name, before it is that user.

    Its Dag was loaded then, as with any task, by the worker's own user for tasks, whom the owner has chosen.
    """
    parse = task_runner.parse

    def parse_and_judge(what: Any, log: Any) -> Any:
        ti = parse(what, log)
        # What `startup` goes by next: as nobody else than who it is, a task is not run anew.
        name = getattr(ti.task, "run_as_user", None) or conf.get("core", "default_impersonation", fallback=None)
        objection = terms.against_user(str(name)) if name and name != getuser() else ""
        if objection:
            refusal = f"This task is refused {objection}"
            log.error(refusal)
            # As Airflow ends it where its file has no such task: another try may find another worker.
            sys.exit(1)
        return ti

    task_runner.parse = parse_and_judge


def is_example(bundle: str) -> bool:
    """Say whether the bundle comes with Airflow: then it is at each site, and is found if `load_examples` is on."""
    return bundle.endswith(EXAMPLE_BUNDLES)


def _accept(dag: Any, bundle_name: str | None = None) -> None:
    """Stand in for the check of a Dag's executors."""
