"""What a task needs, loaded once, so that a forked process has it at no cost."""

from __future__ import annotations

import gc
import importlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from airflow_edge.runtime.user_code import UserCode, load_airflow, use_xcom_backend

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


def warm_up(*, cautious: bool = False) -> UserCode:
    """Load all that a task needs, and put it where the garbage collector of a forked process does not touch it.

    :param cautious: load nothing but what cannot be left to the forked process
    :return: what is left to it, because it is the site's own
    """
    gc.disable()
    code = load_airflow(cautious=cautious)
    for module in _NEEDED:
        importlib.import_module(module)
    for module in _LIKELY:
        _try(module, partial(importlib.import_module, module))
    for what, load in _preparations(code).items():
        _try(what, load)
    gc.collect()
    gc.freeze()
    return code


def _preparations(code: UserCode) -> dict[str, Callable[[], object]]:
    chosen: dict[str, Callable[[], object]] = {"airflow.sdk": _sdk_names}
    if not code.plugins:
        chosen["listeners"] = lambda: importlib.import_module("airflow.sdk.listener").get_listener_manager()
    if not code.settings:
        chosen["the log handler"] = lambda: importlib.import_module("airflow.sdk.log").load_remote_log_handler()
    if not code.providers:
        chosen["the providers' decorators"] = _providers
    return chosen | {"the API client": _api_client, "the supervisor": partial(_supervisor, code)}


def _try(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ModuleNotFoundError as error:
        log.debug("%s is not here: %s", what, error)
    except Exception as error:  # noqa: BLE001 - it may be a provider's, with any error
        log.warning("%s is not loaded in advance: %s: %s", what, type(error).__name__, error)


def _sdk_names() -> None:
    sdk = importlib.import_module("airflow.sdk")
    for name in sdk.__all__:
        # Some names are for type checkers only.
        getattr(sdk, name, None)


def _providers() -> None:
    manager = importlib.import_module("airflow.sdk.providers_manager_runtime").ProvidersManagerTaskRuntime()
    manager.initialize_providers_taskflow_decorator()


def _supervisor(code: UserCode) -> None:
    from airflow_edge.runtime import compat, parsing

    parsing.accept_what_the_centre_accepts()
    parsing.let_crashes_be_crashes()
    if code.xcom_backend:
        compat.load_in_tasks(use_xcom_backend)
    compat.notice_ends_at_once()
    compat.bear_full_disks()


def _api_client() -> None:
    from airflow_edge.runtime.supervising import AgentTransport, api_client

    # It loads the system's certificates, though ours has no use for them, and keeps them for the process.
    api_client(AgentTransport("/nowhere"), "").close()
