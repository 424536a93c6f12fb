"""The centre's settings as the gateway uses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from airflow import __version__ as airflow_version
from airflow.configuration import conf

from airflow_edge import __version__
from airflow_edge.admin.config import policy_file
from airflow_edge.rules.durations import parse_duration, parse_named_durations
from airflow_edge.rules.liveness import Patience, read_option, read_patience
from airflow_edge.rules.versions import Rules, read_rules
from airflow_edge.settings import BY_NAME, SECTION, SETTINGS, SettingError

ON_THE_WAY: Final = timedelta(seconds=10)
"""For a call that a supervisor has let a task make."""

_PARSED: Final[Mapping[str, Callable[[str], object]]] = {
    "disconnect_grace": parse_duration,
    "queue_disconnect_grace": parse_named_durations,
    "metrics_retention": parse_duration,
}
"""Settings that are texts to Airflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Settings of `[edge]` for the centre; times in seconds unless the name says otherwise."""

    api_enabled: bool
    allow_shared_secret_enrollment: bool
    offer_timeout: float
    start_timeout: float = 300.0
    time_to_end: timedelta = timedelta(seconds=30)
    """How long a task may still call after Airflow knows its state; see `[core] task_success_overtime`."""
    time_to_stop: timedelta = timedelta(seconds=70)
    """The same after it was told to stop; see `[core] killed_task_cleanup_time`."""
    patience: Patience
    """How long a worker may be silent."""
    dispatch_poll_interval: float
    job_success_purge: timedelta
    job_fail_purge: timedelta
    listener_sql_alchemy_conn: str | None = None
    """Where to listen for notifications, if not where Airflow connects to."""
    log_store: str | None = None
    log_retention: timedelta | None = None
    """None: for ever."""
    log_max_size: int = 1024**3
    """Bytes that are kept of one task's log."""
    call_max_size: int = 16 * 1024 * 1024
    """Bytes of the longest body of a task's call, and of all of one worker's together."""
    call_memory: int = 32 * 1024 * 1024
    """Bytes of all bodies together."""
    worker_log_quota: int = 1024 * 1024
    """Bytes of each worker's own log that are kept."""
    worker_log_purge: timedelta = timedelta(days=7)
    policy_file: Path | None = None
    """Where it is said what tasks may ask for; None: in the database."""
    policy_use_purge: timedelta = timedelta(days=30)
    metrics_retention: timedelta = timedelta()
    """Zero: none are kept."""
    base_url: str = ""
    """Where Airflow is, as its own `[api] base_url` says; empty if it does not."""
    versions: Rules = field(default_factory=lambda: Rules(worker=__version__, airflow=airflow_version))

    @property
    def silence(self) -> float:
        """Seconds without a word after which a link is given up."""
        return self.patience.silence.total_seconds()


def read_config() -> GatewayConfig:
    """Read the settings from Airflow's configuration.

    :raises ValueError: one of them makes no sense; the message names it.
    """
    return GatewayConfig(
        api_enabled=_boolean("api_enabled"),
        allow_shared_secret_enrollment=_boolean("allow_shared_secret_enrollment"),
        offer_timeout=_number("offer_timeout"),
        start_timeout=_number("start_timeout"),
        time_to_end=_afterwards("task_success_overtime", 20),
        time_to_stop=_afterwards("killed_task_cleanup_time", 60),
        patience=read_patience(_text),
        dispatch_poll_interval=_number("dispatch_poll_interval"),
        job_success_purge=timedelta(minutes=_number("job_success_purge")),
        job_fail_purge=timedelta(minutes=_number("job_fail_purge")),
        listener_sql_alchemy_conn=_text("listener_sql_alchemy_conn") or None,
        log_store=_text("log_store") or None,
        log_retention=timedelta(days=days) if (days := _number("log_retention")) > 0 else None,
        log_max_size=int(_number("log_max_size") * 1024 * 1024),
        call_max_size=int(_number("call_max_size") * 1024 * 1024),
        call_memory=int(_number("call_memory") * 1024 * 1024),
        worker_log_quota=int(_number("worker_log_quota") * 1024 * 1024),
        worker_log_purge=timedelta(days=_number("worker_log_purge")),
        policy_file=policy_file(),
        policy_use_purge=timedelta(days=_number("policy_use_purge")),
        metrics_retention=read_option("metrics_retention", _text, parse_duration),
        base_url=str(conf.get("api", "base_url", fallback="") or "").strip().rstrip("/"),
        versions=_versions(),
    )


def wrong_settings() -> list[str]:
    """Say of each of the centre's settings that makes no sense what it has to be."""
    wrong = []
    for setting in SETTINGS:
        if setting.side == "centre":
            try:
                _text(setting.name)
            except SettingError as error:
                wrong.append(str(error))
    for name, parse in _PARSED.items():
        try:
            read_option(name, _text, parse)
        except ValueError as error:
            wrong.append(str(error))
    try:
        _versions()
    except ValueError as error:
        wrong.append(str(error))
    return wrong


def _afterwards(name: str, default: float) -> timedelta:
    """Give what Airflow's supervisors leave to a task that has nothing to do any more, and time for it to reach us."""
    return timedelta(seconds=conf.getfloat("core", name, fallback=default)) + ON_THE_WAY


def _versions() -> Rules:
    return read_rules(_text, worker=__version__, airflow=airflow_version)


def _boolean(name: str) -> bool:
    return _text(name).lower() in {"t", "true", "1"}


def _number(name: str) -> float:
    return float(_text(name))


def _text(name: str) -> str:
    setting = BY_NAME[name]
    text = str(conf.get(SECTION, name, fallback=setting.default_text) or "")
    return setting.check(text or setting.default_text or "")
