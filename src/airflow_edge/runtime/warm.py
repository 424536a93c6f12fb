"""What a task needs, loaded once, so that a forked process has it at no cost."""

from __future__ import annotations

import gc
import importlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

log = logging.getLogger(__name__)

_NEEDED: Final = ("airflow_edge.runtime.supervising", "airflow.sdk.execution_time.task_runner")

_LIKELY: Final = (
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.python",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.connection",
    "airflow.sdk.execution_time.callback_supervisor",
    "jinja2.ext",
)
"""Whatever of it this installation has not, a task loads for itself."""


def warm_up() -> None:
    """Load all that a task needs, and put it where the garbage collector of a forked process does not touch it."""
    gc.disable()
    for module in _NEEDED:
        importlib.import_module(module)
    for module in _LIKELY:
        _try(module, partial(importlib.import_module, module))
    for what, load in _PREPARATIONS.items():
        _try(what, load)
    gc.collect()
    gc.freeze()


def _try(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ModuleNotFoundError as error:
        log.debug("%s is not here: %s", what, error)
    except Exception as error:  # noqa: BLE001 - it may be a plugin or provider of the site's, with any error
        log.warning("%s is not loaded in advance: %s: %s", what, type(error).__name__, error)


def _sdk_names() -> None:
    sdk = importlib.import_module("airflow.sdk")
    for name in sdk.__all__:
        # Some names are for type checkers only.
        getattr(sdk, name, None)


def _providers() -> None:
    manager = importlib.import_module("airflow.sdk.providers_manager_runtime").ProvidersManagerTaskRuntime()
    manager.initialize_providers_taskflow_decorator()


def _supervisor() -> None:
    from airflow_edge.runtime import compat

    compat.notice_ends_at_once()
    compat.bear_full_disks()


def _api_client() -> None:
    from airflow_edge.runtime.supervising import api_client

    # It loads the system's certificates, though ours has no use for them, and keeps them for the process.
    api_client("/nowhere", "").close()


_PREPARATIONS: Final[dict[str, Callable[[], None]]] = {
    "airflow.sdk": _sdk_names,
    "listeners": lambda: importlib.import_module("airflow.sdk.listener").get_listener_manager(),
    "the log handler": lambda: importlib.import_module("airflow.sdk.log").load_remote_log_handler(),
    "the providers' decorators": _providers,
    "the API client": _api_client,
    "the supervisor": _supervisor,
}
