"""The centre's settings as the gateway uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from airflow import __version__ as airflow_version
from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException

from airflow_edge import __version__
from airflow_edge.rules.durations import parse_duration
from airflow_edge.rules.liveness import Patience, read_option, read_patience
from airflow_edge.rules.versions import Rules, read_rules
from airflow_edge.settings import BY_NAME, SECTION

SHORTEST_OFFER = 1.0
SHORTEST_POLL = 0.01
"""Seconds; with less, the gateway would be busy with nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """Settings of `[edge]` for the centre; times in seconds unless the name says otherwise."""

    api_enabled: bool
    allow_shared_secret_enrollment: bool
    offer_timeout: float
    patience: Patience
    """How long a worker may be silent."""
    dispatch_poll_interval: float
    job_success_purge: timedelta
    job_fail_purge: timedelta
    log_store: str | None = None
    log_retention: timedelta | None = None
    """None: for ever."""
    worker_log_quota: int = 1024 * 1024
    """Bytes of each worker's own log that are kept."""
    worker_log_purge: timedelta = timedelta(days=7)
    metrics_retention: timedelta = timedelta()
    """Zero: none are kept."""
    versions: Rules = field(default_factory=lambda: Rules(worker=__version__, airflow=airflow_version))

    @property
    def silence(self) -> float:
        """Seconds without a word after which a link is given up."""
        return self.patience.silence.total_seconds()


def read_config() -> GatewayConfig:
    """Read the settings from Airflow's configuration.

    :raises airflow.exceptions.AirflowConfigException: one of them is not a number, not true or false, or no URL.
    :raises ValueError: one of them is not a duration, or not a version.
    """
    return GatewayConfig(
        api_enabled=_boolean("api_enabled"),
        allow_shared_secret_enrollment=_boolean("allow_shared_secret_enrollment"),
        offer_timeout=max(_number("offer_timeout"), SHORTEST_OFFER),
        patience=read_patience(_text),
        dispatch_poll_interval=max(_number("dispatch_poll_interval"), SHORTEST_POLL),
        job_success_purge=timedelta(minutes=_number("job_success_purge")),
        job_fail_purge=timedelta(minutes=_number("job_fail_purge")),
        log_store=_url("log_store"),
        log_retention=timedelta(days=days) if (days := _number("log_retention")) > 0 else None,
        worker_log_quota=int(_number("worker_log_quota") * 1024 * 1024),
        worker_log_purge=timedelta(days=_number("worker_log_purge")),
        metrics_retention=read_option("metrics_retention", _text, parse_duration),
        versions=read_rules(
            lambda name: conf.get(SECTION, name, fallback=None), worker=__version__, airflow=airflow_version
        ),
    )


def _boolean(name: str) -> bool:
    return bool(conf.getboolean(SECTION, name, fallback=BY_NAME[name].default))


def _url(name: str) -> str | None:
    url = str(conf.get(SECTION, name, fallback="") or "").strip()
    if url and "://" not in url:
        raise AirflowConfigException(f"[{SECTION}] {name} = {url} is not a URL; a folder is file:///path/to/it")
    return url or None


def _number(name: str) -> float:
    return float(conf.getfloat(SECTION, name, fallback=BY_NAME[name].default))


def _text(name: str) -> str:
    return str(conf.get(SECTION, name, fallback=BY_NAME[name].default))
