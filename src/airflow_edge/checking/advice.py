"""What `airflow edge check` says about a centre: rules on what was found out, which look nothing up themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

from airflow_edge.checking.findings import Finding, Mark, note, without_secrets, wrong
from airflow_edge.executor.edge3 import UNINSTALL_EDGE3
from airflow_edge.gateway.database.listener import NotHeardError
from airflow_edge.page.entries import PAGE_PREFIX
from airflow_edge.rules.processes import CentreFacts, CentreProcess
from airflow_edge.settings.unread import Unread
from airflow_edge.store.schema import MIGRATE, Schema

EXECUTOR: Final = "airflow_edge.executor.EdgeExecutor"
LOGGING_CONFIG: Final = "airflow_edge.logs.LOGGING_CONFIG"
OLDEST_AIRFLOW: Final = (3, 2)
REQUESTS_AT_ONCE: Final = 40
"""Threads in which an API server process works on requests, each with a connection to the database: AnyIO's default."""

MYSQL: Final = (
    "the database is a MySQL: airflow-edge is tested with a MariaDB in its place, and with PostgreSQL. There are no "
    "notifications; the queue is polled ([edge] dispatch_poll_interval)"
)

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - as written by people


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAnswer:
    """What answered at the gateway's address."""

    outcome: Literal["healthy", "not ready", "disabled", "something else", "nothing"]
    detail: str = ""
    version: str = ""
    gateway: UUID | None = None
    """By which its database knows it; None where it does not say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """What a browser gets that is to show the operator's page."""

    outcome: Literal["shown", "not built", "another build", "no module", "changed", "cut", "nothing"]
    url: str = ""
    """The file that it is about, with whatever login the base URL has in it."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found out about a centre. Nothing here is secret."""

    edge_version: str
    airflow_version: str
    edge3_installed: bool
    api_enabled: bool
    wrong_settings: tuple[str, ...]
    """What there is to say of the centre's settings that make no sense."""
    executors: tuple[str, ...]
    """Module paths of those that can be loaded, the default one first."""
    executor_errors: tuple[str, ...]
    """What there is to say of the others."""
    logging_config_class: str
    remote_log_is_ours: bool
    handler_is_ours: bool
    """Ours reads logs in an API server: it is configured, or Airflow's own, in whose place it is put there."""
    tables: Schema | None
    """None: the database cannot be asked; `database_error` says why."""
    database_error: str
    schedulers: tuple[str, ...] | None
    """The hosts of Airflow's schedulers that run; None where that cannot be asked."""
    centre: CentreFacts | None
    """What of ours runs; None where that cannot be asked."""
    database: str
    """SQLAlchemy's name of its kind; empty where there is none."""
    notified: bool | None
    """Whether notifications of the database come through; None where it has none, or cannot be asked."""
    pool: int | None
    """Connections that Airflow's own pool has in each process; None where they are not counted."""
    base_url: str
    gateway: GatewayAnswer | None
    """None: there is no address to ask."""
    is_another: bool
    """Whether that one is not among those which this database knows."""
    page: PageAnswer | None
    """None: there is none to be had, for a reason that is said elsewhere."""
    workers: int
    """Those that are revoked are none."""
    log_store: str | None
    log_store_error: str
    policy: str = ""
    """Which policy there is for what tasks ask of the centre; empty for none."""
    policy_error: str = ""
    """Why it is not in force."""
    policy_modes: tuple[tuple[str, str], ...] = ()
    """By globs of queues; of several that match, the first counts."""
    policy_unmatched: tuple[str, ...] = ()
    """What of it is about nothing that there is."""
    fernet: bool = True
    """Whether Airflow has a key to encrypt secrets with."""
    unread: tuple[Unread, ...] = ()
    """What looks like a setting and is none."""
    centre_key_error: str = ""
    """Why the centre's key cannot be read; empty if it can."""


def findings(facts: Facts) -> list[Finding]:
    """Give everything there is to say, in the order in which a person would put it right."""
    return [finding for _, finding in findings_by_subject(facts)]


def findings_by_subject(facts: Facts) -> list[tuple[str, Finding]]:
    """Give the same, each with what it is about."""
    found = {
        "versions": _versions(facts),
        "database": _database(facts),
        "settings": _settings(facts),
        "what runs": _running(facts),
        "logs": _logs(facts),
        "policy": _policy(facts),
        "gateway": _gateway(facts),
        "page": _page(facts),
    }
    return [(subject, finding) for subject, some in found.items() for finding in some]


def _versions(facts: Facts) -> Iterator[Finding]:
    supported = tuple(int(part) for part in facts.airflow_version.split(".")[:2]) >= OLDEST_AIRFLOW
    versions = f"airflow-edge {facts.edge_version} on Airflow {facts.airflow_version}"
    oldest = ".".join(map(str, OLDEST_AIRFLOW))
    yield Finding(Mark.OK, versions) if supported else wrong(versions, f"Airflow {oldest} is the oldest supported")
    if facts.edge3_installed:
        yield Finding(Mark.WRONG, UNINSTALL_EDGE3)


def _database(facts: Facts) -> Iterator[Finding]:
    match facts.tables:
        case Schema.CURRENT:
            yield Finding(Mark.OK, "the tables are there and up to date")
        case Schema.MISSING:
            yield wrong("the tables are missing", MIGRATE)
        case Schema.OLDER:
            yield wrong("the tables are older than the airflow-edge that is installed", MIGRATE)
        case Schema.OTHER:
            yield wrong("the tables are of another version of airflow-edge", f"install it, or {MIGRATE}")
        case None:
            yield Finding(Mark.WRONG, facts.database_error)
    if facts.centre_key_error:
        yield Finding(Mark.WRONG, facts.centre_key_error)
    if not facts.fernet:
        yield Finding(
            Mark.NOTE,
            "the centre's key, with which it signs what workers do, is in the database unencrypted: Airflow has no "
            "[core] fernet_key. Set one, then: airflow edge centre-key rotate",
        )
    if facts.database == "mysql":
        yield Finding(Mark.NOTE, MYSQL)
    if facts.notified is True:
        yield Finding(Mark.OK, "the database's notifications come through")
    elif facts.notified is False:
        yield Finding(Mark.NOTE, f"{NotHeardError()}. The queue is polled instead ([edge] dispatch_poll_interval)")
    if facts.pool is not None and facts.pool < REQUESTS_AT_ONCE:
        yield Finding(
            Mark.NOTE,
            f"[database] sql_alchemy_pool_size + sql_alchemy_max_overflow = {facts.pool}: an API server process works "
            f"on {REQUESTS_AT_ONCE} requests at once, and stands still for up to 30 s, tasks' calls with it, when they "
            "need more connections. With many users or scripts, set sql_alchemy_max_overflow so that the sum is "
            f"{REQUESTS_AT_ONCE} or more",
        )


def _settings(facts: Facts) -> Iterator[Finding]:
    for setting in facts.wrong_settings:
        yield Finding(Mark.WRONG, setting)
    for one in facts.unread:
        yield wrong(str(one), "correct its name and place, or take it out") if one.guards else note(str(one))
    if facts.api_enabled:
        yield Finding(Mark.OK, "[edge] api_enabled = True")
    else:
        yield wrong(
            "[edge] api_enabled = False: no worker is served", "set [edge] api_enabled = True for the API server"
        )
    for error in facts.executor_errors:
        yield wrong(
            f"[core] executor: {error}; no scheduler starts with it",
            f"correct its path (the edge's is {EXECUTOR}), or install what it is in",
        )
    executors = ", ".join(facts.executors)
    if any(name.startswith("airflow_edge.") for name in facts.executors):
        yield Finding(Mark.OK, f"[core] executor = {executors}")
    else:
        yield wrong(
            f"[core] executor = {executors}: no task can be run at the edge",
            f'set [core] executor = {EXECUTOR}, or add it to the list and name it in tasks: executor="EdgeExecutor"',
        )


def _running(facts: Facts) -> Iterator[Finding]:
    """Say what runs, whatever is set here: a component may have been started with other settings."""
    if facts.schedulers is None or facts.centre is None:
        return
    ours = facts.centre.schedulers
    if others := [one for one in ours if one.version != facts.edge_version]:
        yield wrong(
            f"the scheduler on {_where(others[0])} runs airflow-edge {others[0].version}, here it is "
            f"{facts.edge_version}",
            "install one version everywhere, and restart the scheduler",
        )
    elif ours:
        yield Finding(Mark.OK, f"the scheduler on {_where(ours[0])} has loaded EdgeExecutor{_and_more(len(ours))}")
    elif facts.schedulers:
        yield wrong(
            f"no running scheduler has loaded EdgeExecutor (one runs on {facts.schedulers[0]}): no worker gets a task",
            "restart the scheduler with [core] executor as it is here; `airflow standalone` keeps it only where its "
            "first one is EdgeExecutor or LocalExecutor",
        )
    else:
        yield Finding(Mark.NOTE, "no scheduler is running; start one: airflow scheduler")


def _where(process: CentreProcess) -> str:
    return f"{process.host} (pid {process.pid})"


def _and_more(count: int) -> str:
    return f", and so {'has' if count == 2 else 'have'} {count - 1} more" if count > 1 else ""


def _logs(facts: Facts) -> Iterator[Finding]:
    text = f"[logging] logging_config_class = {facts.logging_config_class or '(unset)'}"
    if facts.handler_is_ours:
        unset = "" if facts.remote_log_is_ours else ": API servers read the logs of tasks at the edge all the same"
        yield Finding(Mark.OK, text + unset)
    elif facts.remote_log_is_ours:
        yield Finding(
            Mark.NOTE,
            f"{text}: logs are read with another handler than airflow_edge.logs.handler.EdgeTaskHandler, which makes "
            "long ones slow to open, and the page of a task that waits does not say why",
        )
    else:
        yield wrong(
            f"{text}: the logs of tasks at the edge cannot be read once the tasks have ended",
            f"set [logging] logging_config_class = {LOGGING_CONFIG} for every component",
        )
    if facts.log_store is not None:
        store = f"[edge] log_store = {without_secrets(facts.log_store)}"
        if facts.log_store_error:
            yield wrong(f"{store}: {facts.log_store_error}", "until it can be used, logs stay in the database")
        else:
            yield Finding(Mark.OK, f"{store} can be written, read and deleted from")


def _policy(facts: Facts) -> Iterator[Finding]:
    if facts.policy_error:
        yield wrong(
            f"{facts.policy} is not in force: {facts.policy_error}",
            "correct it: what was in force before stays so only until an API server starts anew, which denies all that "
            "needs a grant",
        )
    elif facts.policy:
        modes = ", ".join(f"{glob}: {mode}" for glob, mode in facts.policy_modes)
        is_on = any(mode != "off" for _, mode in facts.policy_modes)
        yield Finding(
            Mark.OK if is_on else Mark.NOTE,
            f"{facts.policy} says what tasks may ask for ({modes if is_on else 'it is off on every queue'})",
        )
        for sentence in facts.policy_unmatched:
            yield Finding(Mark.NOTE, f"{facts.policy}: {sentence}")


def _gateway(facts: Facts) -> Iterator[Finding]:
    if facts.gateway is None:
        yield wrong(
            "[api] base_url is not set: sites cannot be told where to find the API server",
            "set it to the URL that sites use, or check another: airflow edge check --api-url https://…",
        )
        return
    host = (urlsplit(facts.base_url).hostname or "").lower()
    url = without_secrets(facts.base_url)
    if host in _LOOPBACK:
        yield Finding(Mark.NOTE, f"{url} is this machine only: sites elsewhere need another address ([api] base_url)")
    elif facts.base_url.startswith("http:"):
        yield Finding(Mark.NOTE, f"{url} is not encrypted: let sites use https")
    yield _answer(facts, facts.gateway, url)
    if facts.tables is Schema.CURRENT:
        some = f"{facts.workers} worker{'' if facts.workers == 1 else 's'} enrolled"
        none = "no worker is enrolled yet; make a token for one: airflow edge enroll-token create"
        yield Finding(Mark.OK, some) if facts.workers else Finding(Mark.NOTE, none)


def _answer(facts: Facts, gateway: GatewayAnswer, url: str) -> Finding:
    match gateway.outcome:
        case "healthy" if gateway.version != facts.edge_version:
            return wrong(
                f"the API server at {url} runs airflow-edge {gateway.version}, here it is {facts.edge_version}",
                "install one version everywhere, and restart the API server",
            )
        case "healthy" if facts.is_another:
            return wrong(
                f"the API server at {url} is another Airflow's: it has another database, so it knows none of the "
                "tokens and workers of this one",
                "look at [api] base_url, and whether another API server has the port",
            )
        case "healthy":
            return Finding(Mark.OK, f"the API server at {url} serves workers")
        case "not ready":
            return wrong(f"the gateway at {url} says: {gateway.detail.rstrip('.')}", "look into the API server's log")
        case "disabled":
            return wrong(
                f"the API server at {url} serves no workers",
                "set [edge] api_enabled = True in its configuration, and restart it",
            )
        case "something else":
            return wrong(
                f"what answers at {url} is no edge gateway: {gateway.detail}",
                "install 'airflow-edge[server]' where the API server runs and restart it; look at [api] base_url and "
                "at the proxy before it",
            )
        case "nothing":
            return Finding(Mark.NOTE, f"nothing answers at {url} (seen from here: {gateway.detail}); is it up?")


def _page(facts: Facts) -> Iterator[Finding]:
    if facts.page is None:
        return
    url, detail = without_secrets(facts.page.url), facts.page.detail
    match facts.page.outcome:
        case "shown":
            yield Finding(Mark.OK, f"browsers get the operator's page whole: {url}")
        case "not built":
            yield Finding(Mark.NOTE, detail)
        case "another build":
            yield wrong(
                f"the API server serves another build of the operator's page than the one installed here: {url} is not "
                "there",
                "restart the API server; where several serve, install one version everywhere",
            )
        case "no module" if detail == "text/html":
            yield wrong(
                f"{url} is answered with a page of HTML, so the operator's page stays empty: a proxy or a log-in "
                "answers in its place, or this API server has not loaded airflow-edge",
                f"let the proxy pass on everything below {PAGE_PREFIX}, or install 'airflow-edge[server]' where the "
                "API server runs, and restart it",
            )
        case "no module":
            yield wrong(
                f"{url} comes as {detail}, which no browser runs: the operator's page stays empty",
                "let the proxy before the API server leave the Content-Type as it is: text/javascript",
            )
        case "changed":
            yield wrong(
                f"what comes from {url} is not what is installed here, and may not run",
                f"let the proxy before the API server pass on what is below {PAGE_PREFIX} unchanged and empty its "
                "cache, or install one version everywhere and restart the API server",
            )
        case "cut":
            yield wrong(
                f"{url} gives {detail}: the operator's page stays empty",
                f"let the proxy before the API server pass on everything below {PAGE_PREFIX}; look at the path of "
                "[api] base_url",
            )
        case "nothing":
            yield Finding(
                Mark.NOTE,
                f"the operator's page could not be fetched from {url} (seen from here: {detail}); if browsers reach "
                "it there, all is well",
            )
