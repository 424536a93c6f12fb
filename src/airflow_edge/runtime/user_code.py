"""What is a site's own, and not Airflow's: it is loaded after the fork, as in a process that runs one task only.

What was loaded before is shared by all tasks: a thread that it has started is dead in each of them, and a lock that
this thread held when it was forked is held for ever.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

_OURS: Final = "airflow_edge"
_AIRFLOWS: Final = ("airflow.", f"{_OURS}.")
_PROVIDERS: Final = ("apache-airflow-providers-", "airflow-edge")
_CODE: Final = frozenset({".py", ".zip"})
_XCOM_BACKEND: Final = "AIRFLOW__CORE__XCOM_BACKEND"


@dataclass(frozen=True, slots=True)
class UserCode:
    """What there is that Airflow would load; empty where there is nothing of the kind."""

    settings: str = ""
    """`airflow_local_settings`, policies, a logging configuration: loaded by `settings.initialize`."""
    plugins: str = ""
    providers: str = ""
    """Packages with decorators for tasks that are not Airflow's."""
    xcom_backend: str = ""

    def __str__(self) -> str:
        return "; ".join(f"{name.replace('_', ' ')}: {what}" for name, what in asdict(self).items() if what)


def load_airflow(*, cautious: bool) -> UserCode:
    """Import Airflow, and initialise it unless that loads what is not Airflow's. Say what is left to the child.

    :param cautious: leave all to the child that can be left to it
    """
    os.environ["_AIRFLOW__AS_LIBRARY"] = "1"
    importlib.import_module("airflow")
    del os.environ["_AIRFLOW__AS_LIBRARY"]
    code = _look(cautious=cautious)
    if not code.settings:
        initialize()
    if code.xcom_backend:
        with _set(_XCOM_BACKEND, "airflow.sdk.bases.xcom.BaseXCom"):
            importlib.import_module("airflow.sdk.execution_time.xcom")
    return code


def initialize() -> None:
    """Have Airflow read `airflow_local_settings` and the like; once in a process."""
    settings: Any = importlib.import_module("airflow.settings")
    settings.initialize()


def use_xcom_backend() -> None:
    """Load the class for XComs that is configured, in the task's own process."""
    task_runner: Any = importlib.import_module("airflow.sdk.execution_time.task_runner")
    xcom: Any = importlib.import_module("airflow.sdk.execution_time.xcom")
    xcom.XCom = task_runner.XCom = xcom.resolve_xcom_backend()


def other_threads() -> list[str]:
    """Name all threads of this process but this one, with what they run, as far as that can be told."""
    known = {thread.native_id: thread for thread in threading.enumerate()}
    try:
        ids = [int(name) for name in os.listdir("/proc/self/task")]  # noqa: PTH208
    except OSError:
        ids = [number for number in known if number is not None]
    return [_name(number, known.get(number)) for number in sorted(ids) if number != threading.get_native_id()]


def foreign_modules() -> list[str]:
    """Name the modules that were loaded from elsewhere than where packages are installed, and are not ours."""
    installed = {Path(path).resolve() for name, path in sysconfig.get_paths().items() if "lib" in name}
    return sorted(
        name
        for name, module in sys.modules.copy().items()
        if (file := getattr(module, "__file__", None))
        and name.partition(".")[0] not in {_OURS, "__main__"}
        and not installed.intersection(Path(file).resolve().parents)
    )


def _look(*, cautious: bool) -> UserCode:
    """Look for it without loading any of it; Airflow is imported, but not initialised yet."""
    from airflow.configuration import conf

    settings: Any = importlib.import_module("airflow.settings")
    settings.configure_vars()
    settings.prepare_syspath_for_config_and_plugins()
    local = importlib.util.find_spec("airflow_local_settings")
    policies = [entry.value for entry in entry_points(group="airflow.policy")]
    plugins = [entry.value for entry in entry_points(group="airflow.plugins") if not entry.value.startswith(_AIRFLOWS)]
    providers = [
        entry.dist.name
        for entry in entry_points(group="apache_airflow_provider")
        if entry.dist is not None and not entry.dist.name.startswith(_PROVIDERS)
    ]
    logging = conf.get("logging", "logging_config_class", fallback="")
    xcom_backend = conf.get("core", "xcom_backend", fallback="")
    careful = ["caution"] if cautious else []
    return UserCode(
        settings=_join([*careful, local.origin if local else None, *policies, _theirs(logging, cautious=cautious)]),
        plugins=_join([*careful, *_files(Path(settings.PLUGINS_FOLDER)), *plugins]),
        providers=_join([*careful, *providers]),
        xcom_backend=_theirs(xcom_backend, cautious=cautious),
    )


def _theirs(path: str | None, *, cautious: bool) -> str:
    """Give the path of a class that is configured, unless it is Airflow's."""
    return path if path and (cautious or not path.startswith(_AIRFLOWS)) else ""


def _files(folder: Path) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.suffix in _CODE]


def _join(names: Iterable[str | None]) -> str:
    return ", ".join(name for name in names if name)


def _name(number: int, thread: threading.Thread | None) -> str:
    if thread is not None:
        runs = getattr(thread, "_target", None) or type(thread).run
        return f"'{thread.name}' ({runs.__module__}.{runs.__qualname__})"
    with contextlib.suppress(OSError):
        return f"'{Path(f'/proc/self/task/{number}/comm').read_text().strip()}' (of a library that is not Python)"
    return f"{number}"


@contextlib.contextmanager
def _set(variable: str, value: str) -> Iterator[None]:
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
