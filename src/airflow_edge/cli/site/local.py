"""What of a site can be seen without asking anybody: for `airflow-edge check`, and as a worker starts."""

from __future__ import annotations

import ast
import os
import platform
import resource
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_edge import __version__
from airflow_edge.agent.config import MEBIBYTE, Config
from airflow_edge.agent.errors import user_name, who
from airflow_edge.agent.machine import conditions, dags
from airflow_edge.agent.machine.imports import Imports
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.checking.findings import Finding, note, ok, wrong
from airflow_edge.cli.site.users import acting_as, may_read, users_of
from airflow_edge.site import secrets
from airflow_edge.site.guarding import against, open_folder
from airflow_edge.site.kernel import user_named

if TYPE_CHECKING:
    from airflow_edge.cli.site.running import AtWork

FILES_OF_A_WORKER: Final = 100
FILES_OF_A_TASK: Final = 8
"""Descriptors that the agent needs, rounded up: connections, logs, its journal."""
PROCESSES_OF_A_TASK: Final = 4
"""A supervisor, the task, and what that may start."""
TASK_SDK: Final = "apache-airflow-task-sdk"
MOST_PARSED: Final = 500
"""Dag files that are read."""
UNGUARDED: Final = "correct its name and place, or take it out"
_CGROUPS: Final = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/pids"))


def versions() -> Finding:
    """Say what is installed here."""
    python = f"airflow-edge {__version__}, Python {platform.python_version()}"
    try:
        return ok(f"{python}, {TASK_SDK} {metadata.version(TASK_SDK)}")
    except metadata.PackageNotFoundError:
        return wrong(
            f"{python}, and no {TASK_SDK}: no task can run", "install the worker: pip install 'airflow-edge[worker]'"
        )


def at_start(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at what a worker that starts tells in its log; what may change while it runs is a condition of it."""
    yield versions()
    yield _state_folder(config)
    yield from _limits(config)
    yield from secrets_of_the_centre(environ)
    yield from misspelt(config)
    yield from changed_by_others(config, environ)


def look_around(config: Config, environ: Mapping[str, str], found: AtWork) -> Iterator[Finding]:
    """Look at the state folder, Dags, limits, and at what of the centre's is here and should not be."""
    # A worker that starts does not ask for these, and is the smaller without them.
    from airflow_edge.cli.site.own_secrets import own_secrets
    from airflow_edge.cli.site.running import AtWork, not_yet
    from airflow_edge.cli.site.sudo import third_users

    yield from at_start(config, environ)
    at_work = found.goes_by(config, "agent_user") and found.goes_by(config, "task_user")
    yield from iter((users(config),)) if at_work else not_yet(iter((users(config),)))
    yield from _configuration(config, environ)
    impersonated = secrets.option(environ, "core", "default_impersonation")
    at_work = found.goes_by(config, "site_policy")
    policy = site_policy(config, impersonated, found if at_work else AtWork())
    yield from policy if at_work else not_yet(policy)
    # As a list: as whom this looks is over before anybody hears of it.
    secret = iter(list(own_secrets(config, environ)))
    yield from secret if found.goes_by(config, "site_secrets") else not_yet(secret)
    yield from third_users(config, impersonated)
    yield from _dags(config)


def users(config: Config) -> Finding:
    """Say whose processes worker and tasks are, and what that means."""
    if config.agent_user and config.task_user:
        both = f"the worker is '{config.agent_user}', its tasks are '{config.task_user}', if root starts it"
        return ok(both) if os.geteuid() == 0 else note(f"{both}; have root do this to see what they may")
    return ok(
        "worker and tasks are one user: a task can read the worker's key and other tasks' files, and speak for them; "
        "where root starts the worker, [edge] agent_user and task_user keep them apart (Linux)"
    )


def misspelt(config: Config) -> Iterator[Finding]:
    """Name what looks like a setting and is none."""
    for one in config.unread:
        yield wrong(str(one), f"{UNGUARDED}: no worker starts with that") if one.guards else note(str(one))


def changed_by_others(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say whether somebody else may change what names the files that guard this machine."""
    file = secrets.configuration_file(environ)
    owners = {os.geteuid(), *filter(None, (_number_of(config.agent_user or ""),))}
    if not any(config.told.get(f"[edge] {name}") for name in ("site_policy", "site_secrets")):
        return
    with suppress(OSError):
        facts = file.stat()
        if stat.S_ISREG(facts.st_mode) and (why := against(facts, file, owners) or open_folder(file, owners)):
            yield wrong(f"others may change what guards this machine ([edge] in {file})", why)


def site_policy(config: Config, impersonated: str = "", found: AtWork | None = None) -> Iterator[Finding]:
    """Say what the machine's owner allows here, if there is a file that says so.

    :param found: the worker that goes by it; None for none
    :param impersonated: the user that tasks are by `[core] default_impersonation`; empty for none
    """
    from airflow_edge.cli.site.sudo import own_name

    with acting_as(users_of(config)[0]):
        policy = SitePolicyFile(config.site_policy)
    status = found.status if found is not None else None
    if policy.condition and status is not None and status["site_policy"]:
        yield wrong(
            f"the running worker goes by the last good version of the site policy ({status['site_policy']}), and takes "
            "no task once it is restarted",
            policy.condition,
        )
    elif policy.condition:
        yield wrong(f"no task is taken here{'' if status is not None else ' once a worker runs'}", policy.condition)
    elif policy.summary:
        yield ok(f"the site policy {policy.summary}")
        terms = None if impersonated in {"", config.task_user or own_name()} else policy.terms
        if objection := terms.against_user(impersonated) if terms else "":
            yield wrong(
                f"tasks are to be '{impersonated}' ([core] default_impersonation), and are refused {objection}",
                "have the policy name that user, or leave the option out",
            )


def secrets_of_the_centre(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Name what of the centre's secrets is kept here."""
    if held := secrets.held(environ):
        yield note(
            f"this site holds secrets of the centre that no worker needs ({', '.join(held)}): tasks do not see them, "
            "but whoever may read the worker's files does; take them out of its configuration"
        )


def _state_folder(config: Config) -> Finding:
    folder = config.state_dir
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if there != folder:
        able = os.access(there, os.W_OK)
        return ok(f"{folder} will be made") if able else wrong(f"{folder} cannot be made", f"give {there} to {who()}")
    if found := conditions.look(folder, config.min_free_disk * MEBIBYTE):
        return wrong("the state folder is of no use", "; ".join(found))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return wrong(f"nothing can be written to {folder} ({error.strerror})", f"give it to {who()}")
    facts = folder.stat()
    if os.geteuid() == 0 and config.agent_user:
        # What is root's in it the worker gets when it starts.
        if facts.st_uid not in {0, _number_of(config.agent_user)}:
            advice = f"`chown -R {config.agent_user} {folder}`, or set [edge] state_dir to another folder"
            return wrong(f"{folder} belongs to '{user_name(facts.st_uid)}', and not to '{config.agent_user}'", advice)
        right = {0, _number_of(config.agent_user)}
        if others := sorted(path.name for path in folder.iterdir() if path.lstat().st_uid not in right):
            return wrong(
                f"{', '.join(others[:3])} in {folder} belong{'s' * (len(others) == 1)} neither to root nor to "
                f"'{config.agent_user}'",
                f"`chown -R {config.agent_user} {folder}`",
            )
        return ok(
            f"the state folder {folder} can be written, by '{config.agent_user}' once the worker has been started"
        )
    if facts.st_uid != os.geteuid():
        return wrong(f"{folder} belongs to another user", "run this, and the worker, as that one")
    if others := sorted(path.name for path in folder.iterdir() if path.lstat().st_uid != os.geteuid()):
        theirs = f"{', '.join(others[:3])} in {folder} {'belongs' if len(others) == 1 else 'belong'} to another user"
        advice = "give all of it to the worker's user"
        return wrong(theirs, advice) if os.geteuid() else note(f"{theirs}, as which no worker can run here; {advice}")
    disk = os.statvfs(folder)
    return ok(f"the state folder {folder} can be written, with {disk.f_bavail * disk.f_frsize // MEBIBYTE} MiB free")


def _configuration(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say whose Airflow does not read its configuration: it says nothing of that, and goes by none."""
    file = secrets.configuration_file(environ)
    for user in users_of(config):
        if os.geteuid() == 0 and not file.exists():
            return
        with acting_as(user):
            readable = may_read(file)
        if not readable:
            name = f"'{user.name}'" if user else who()
            yield wrong(f"{name} cannot read {file}, and goes by none of what it says", f"let {name} read {file}")


def _number_of(user: str) -> int | None:
    with suppress(KeyError):
        return user_named(user).uid
    return None


def _dags(config: Config) -> Iterator[Finding]:
    sources = dags.sources(config)
    said: dict[Finding, None] = {}
    # The worker looks whether there are any, and its tasks load them.
    for user in users_of(config):
        with acting_as(user):
            said |= dict.fromkeys(_dags_of(sources, config, f" for '{user.name}'" if user else ""))
    yield from said


def _dags_of(sources: Sequence[dags.DagSource], config: Config, whom: str) -> Iterator[Finding]:
    found = dags.look(sources, Imports(config.import_folders))
    if found.obstacle:
        yield wrong(f"there are no Dags{whom}", found.obstacle)
    for warning in found.warnings:
        yield note(warning)
    for source in sources:
        if source.folder is None:
            yield note(f"the bundle '{source.name}' is no folder: whether its Dags come shows with the first task")
        else:
            yield from _files(source.folder)


def _files(folder: Path) -> Iterator[Finding]:
    try:
        files = dags.files(folder)
    except OSError:
        return
    broken = [said for file in files[:MOST_PARSED] if file.suffix == ".py" and (said := _syntax_error(file))]
    if broken:
        yield note(f"{len(broken)} of the files in {folder} cannot be parsed here: {'; '.join(broken[:3])}")
    if files:
        yield ok(f"files that may hold Dags in {folder}: {len(files)}")


def _syntax_error(file: Path) -> str:
    try:
        ast.parse(file.read_bytes(), str(file))
    except SyntaxError as error:
        return f"{file.name}, line {error.lineno}: {error.msg}"
    except (OSError, ValueError) as error:
        return f"{file.name}: {error}"
    return ""


def _limits(config: Config) -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_OF_A_WORKER + FILES_OF_A_TASK * config.concurrency
    if files != resource.RLIM_INFINITY and files < wanted:
        yield wrong(
            f"the worker may open {files} files, and {config.concurrency} tasks at once take up to {wanted}",
            "raise the limit (LimitNOFILE= in its systemd unit, `ulimit -n`), or lower [edge] worker_concurrency",
        )
    needed = PROCESSES_OF_A_TASK * config.concurrency + 2
    for name, left in _processes_left():
        if left < needed:
            yield note(
                f"{name} leaves this user or container {left} processes, and {config.concurrency} tasks at once "
                f"may take {needed}: raise it (TasksMax=, the container's pids limit), or lower [edge] "
                "worker_concurrency"
            )


def _processes_left() -> Iterator[tuple[str, int]]:
    for root in _CGROUPS:
        try:
            lines = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().split("\n")
            for line in lines:
                _, controllers, path = line.split(":", 2)
                if controllers in {"", "pids"}:
                    group = root / path.lstrip("/")
                    most, now = (group / "pids.max").read_text().strip(), (group / "pids.current").read_text()
                    if most != "max":
                        yield str(group / "pids.max"), int(most) - int(now)
        except (OSError, ValueError):
            continue
