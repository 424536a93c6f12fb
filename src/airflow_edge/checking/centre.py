"""What is to be found out about a centre: for `airflow edge check`, and over the REST API."""

from __future__ import annotations

import json
import secrets
import ssl
from datetime import UTC, datetime
from uuid import UUID

import httpx
from airflow import __version__ as airflow_version
from airflow import settings
from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException
from airflow.executors.executor_loader import ExecutorLoader
from airflow.jobs.job import Job
from airflow.logging_config import get_remote_task_log
from airflow.utils.log.file_task_handler import FileTaskHandler
from airflow.utils.log.log_reader import TaskLogReader
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from airflow_edge import __version__
from airflow_edge.admin.centre_keys import CentreKeyError, is_encrypted, keyring
from airflow_edge.admin.config import session
from airflow_edge.admin.policy import Policies
from airflow_edge.agent.config import Sources, absolute
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.net.tls_and_proxy import ssl_context
from airflow_edge.agent.trust import Trust
from airflow_edge.checking.advice import Facts, GatewayAnswer, PageAnswer, findings_by_subject
from airflow_edge.checking.findings import Finding
from airflow_edge.checking.page import fetch_page
from airflow_edge.executor.edge3 import edge3_is_installed
from airflow_edge.gateway.config import wrong_settings
from airflow_edge.gateway.database.listener import errors_of, listener_engine, probe
from airflow_edge.logs.handler import EdgeTaskHandler
from airflow_edge.page.bundle import BundleMissingError, read_bundle
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import HEALTH, MARK_HEADER, PREFIX, gateway_url
from airflow_edge.rules.processes import at_the_centre
from airflow_edge.settings import SECTION
from airflow_edge.store.logs.objects import LogStoreError, ObjectStore
from airflow_edge.store.schema import Schema, in_words, look
from airflow_edge.store.store import Store

ANSWER_TIMEOUT = 10.0
"""Seconds for the API server to answer."""
NOTIFICATION_PATIENCE = 3.0
"""Seconds for a notification to come back."""
_MOST_OF_AN_ANSWER = 200


def look_at_centre(api_url: str | None = None) -> list[tuple[str, Finding]]:
    """Give everything there is to say about this centre, each with what it is about.

    :param api_url: the API server's URL as sites see it; None for `[api] base_url`
    """
    return findings_by_subject(_look(api_url))


def _look(api_url: str | None) -> Facts:
    remote = get_remote_task_log()
    tables, database_error = _tables()
    executors, executor_errors = _executors()
    log_store = conf.get(SECTION, "log_store", fallback=None) or None
    base_url = api_url or conf.get("api", "base_url", fallback="") or ""
    gateway = _ask(base_url) if base_url else None
    shown = Policies(Store(session)).show() if tables is Schema.CURRENT else None
    # Read after it has answered: it has left its mark by then.
    processes = Store(session).processes.all() if tables is Schema.CURRENT else None
    answering = gateway.gateway if gateway is not None else None
    return Facts(
        edge_version=__version__,
        airflow_version=airflow_version,
        edge3_installed=edge3_is_installed(),
        api_enabled=conf.get(SECTION, "api_enabled", fallback="").strip().lower() in {"t", "true", "1"},
        wrong_settings=tuple(wrong_settings()),
        unread=tuple(Sources().unread("centre")),
        executors=executors,
        executor_errors=executor_errors,
        logging_config_class=conf.get("logging", "logging_config_class", fallback="") or "",
        remote_log_is_ours=getattr(remote, "serves_edge_logs", False),
        handler_is_ours=type(TaskLogReader().log_handler) in {EdgeTaskHandler, FileTaskHandler},
        tables=tables,
        database_error=database_error,
        schedulers=_schedulers() if tables is Schema.CURRENT else None,
        centre=None if processes is None else at_the_centre(processes, datetime.now(UTC)),
        database="" if settings.engine is None else settings.engine.dialect.name,
        notified=_notified() if tables is Schema.CURRENT else None,
        pool=_pool(),
        base_url=base_url,
        gateway=gateway,
        is_another=None not in (answering, processes) and answering not in {one.id for one in processes or ()},
        page=_page(api_url),
        workers=sum(one.revoked_at is None for one in Store(session).workers.all()) if tables is Schema.CURRENT else 0,
        log_store=log_store,
        log_store_error=_try_log_store(log_store) if log_store else "",
        policy=shown.known_as if shown is not None else "",
        policy_error=shown.error.rstrip(".") if shown is not None else "",
        policy_modes=tuple(shown.modes.items()) if shown is not None else (),
        policy_unmatched=tuple(Policies(Store(session)).unmatched(shown)) if shown is not None else (),
        fernet=is_encrypted(),
        centre_key_error=_centre_key_error() if tables is Schema.CURRENT else "",
    )


def _executors() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give those that can be loaded, as a scheduler will, and what there is to say of the others."""
    try:
        names = ExecutorLoader.get_executor_names(validate_teams=False)
    except AirflowConfigException as error:
        return (), (str(error),)
    executors, errors = [], []
    for name in names:
        try:
            ExecutorLoader.import_executor_cls(name)
        except Exception as error:  # noqa: BLE001 - whatever its module does
            errors.append(f"{name.module_path} cannot be loaded ({type(error).__name__}: {error})")
        else:
            executors.append(name.module_path)
    return tuple(executors), tuple(errors)


def _tables() -> tuple[Schema | None, str]:
    try:
        with session() as airflow:
            return look(airflow.connection()), ""
    except SQLAlchemyError as error:
        return None, in_words(error)


def _centre_key_error() -> str:
    try:
        keyring(Store(session))
    except CentreKeyError as error:
        return str(error)
    return ""


def _schedulers() -> tuple[str, ...] | None:
    """Give the hosts of Airflow's schedulers that run, by Airflow's own measure."""
    with session() as airflow:
        jobs = airflow.scalars(select(Job).where(Job.job_type == "SchedulerJob", Job.state == "running"))
        return tuple(sorted(str(job.hostname) for job in jobs if job.is_alive()))


def _notified() -> bool | None:
    """Listen as an API server does."""
    engine = settings.engine
    if engine is None or engine.dialect.name != "postgresql":
        return None
    try:
        listens = listener_engine(engine, conf.get(SECTION, "listener_sql_alchemy_conn", fallback=None))
    except ValueError:
        return False
    try:
        return probe(listens, Store(session).queue.notify, patience=NOTIFICATION_PATIENCE)
    except errors_of(listens):
        return False


def _pool() -> int | None:
    """Give how many connections Airflow's pool has in each process; None where there is no end to them, or one file."""
    engine = settings.engine
    pooled = conf.getboolean("database", "sql_alchemy_pool_enabled", fallback=True)
    if engine is None or engine.dialect.name == "sqlite" or not pooled:
        return None
    size = conf.getint("database", "sql_alchemy_pool_size", fallback=5)
    overflow = conf.getint("database", "sql_alchemy_max_overflow", fallback=10)
    return None if size <= 0 or overflow < 0 else size + overflow


def _try_log_store(url: str) -> str:
    try:
        ObjectStore(url).check()
    except LogStoreError as error:
        return str(error)
    return ""


def _ask(base_url: str) -> GatewayAnswer:
    # Of nobody: that anything stands there is enough for an answer to be marked.
    token = secrets.token_urlsafe(16)
    try:
        url = gateway_url(base_url) + HEALTH
        answer = httpx.get(
            url,
            timeout=ANSWER_TIMEOUT,
            verify=_trusted(),
            # The mark covers what is sent: httpx would ask for it compressed, as no worker does.
            headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
        )
    except (ValueError, AgentError) as error:
        return GatewayAnswer(outcome="something else", detail=str(error))
    except httpx.HTTPError as error:
        return GatewayAnswer(outcome="nothing", detail=str(error) or type(error).__name__)
    if answer.next_request is not None:
        target = str(answer.next_request.url.copy_with(query=None, fragment=None, username=None, password=None))
        use = f"; use that URL: {target.removesuffix(PREFIX + HEALTH)}" if target.endswith(PREFIX + HEALTH) else ""
        return GatewayAnswer(outcome="something else", detail=f"it redirects to {target}{use}")
    try:
        said = json.loads(answer.text)
    except ValueError:
        said = None
    marked = answer.headers.get(MARK_HEADER) == answer_mark(token, answer.status_code, answer.content)
    match said:
        case {"status": "healthy", "version": str()} if not marked:
            return GatewayAnswer(
                outcome="something else",
                detail="the gateway's answer comes without its mark, by which workers know it; what stands between "
                f"has to pass on the headers Authorization and {MARK_HEADER}, and not to change answers",
            )
        case {"status": "healthy", "version": str(version)}:
            return GatewayAnswer(outcome="healthy", version=version, gateway=_as_id(said.get("gateway")))
        case {"status": "not_ready", "detail": str(detail)} | {"code": "not_ready", "detail": str(detail)}:
            return GatewayAnswer(outcome="not ready", detail=detail)
        case {"code": "api_not_enabled"}:
            return GatewayAnswer(outcome="disabled")
    return GatewayAnswer(
        outcome="something else", detail=f"status {answer.status_code}: {answer.text[:_MOST_OF_AN_ANSWER]}"
    )


def _page(api_url: str | None) -> PageAnswer | None:
    """Look at the page where browsers find it, which is not where sites find the gateway if these have an own URL."""
    if edge3_is_installed():
        return None
    base_url = conf.get("api", "base_url", fallback="") or (api_url or "").partition(PREFIX)[0]
    try:
        # From the disk, not as this process may have read it long ago.
        return fetch_page(base_url, read_bundle(), _trusted()) if base_url else None
    except BundleMissingError as missing:
        return PageAnswer(outcome="not built", detail=str(missing))
    except AgentError as error:
        return PageAnswer(outcome="nothing", url=base_url, detail=str(error))


def _trusted() -> ssl.SSLContext:
    """Trust whom a site trusts that is told the same: an authority of the house besides the system's."""
    files = (conf.get(SECTION, name, fallback="") or "" for name in Trust._fields)
    context = ssl_context("https:", Trust(*(absolute(file) if file else None for file in files)))
    assert context is not None  # noqa: S101 - of HTTPS
    return context


def _as_id(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
