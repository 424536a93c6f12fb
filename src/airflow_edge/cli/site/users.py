"""Agent and tasks as two users, where root starts the worker."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.process import keeper
from airflow_edge.agent.process.sockets import MAX_SOCKET_PATH
from airflow_edge.agent.supervisors.runtime_process import runtime_command
from airflow_edge.cli.site.handing_over import hand_over
from airflow_edge.settings import SECTION
from airflow_edge.site.kernel import User, become, user_named
from airflow_edge.site.secrets import configuration_file

OF_ROOT: Final = tuple(
    f"[{SECTION}] {name}"
    for name in ("agent_user", "task_user", "keep_children", "worker_log_max_size", "worker_log_backups")
)
"""What a runtime's command line is made of, which is what it was when root started the worker."""
_BEGUN: Final = "_AIRFLOW_EDGE_TOLD"
"""The environment variable that tells the next agent in this process what those were."""


def separate(config: Config) -> None:
    """Become the agent's user, if one is set; what stays root then starts the runtime. Before any thread is begun.

    :raises ConfigError: that cannot be; the text says why.
    """
    if keeper.here() is None and (both := _both(config)):
        agent, _ = both
        hand_over(config.state_dir, agent)
        _become_agent(config, config, agent)


def rehearse(config: Config) -> Config:
    """Become whom `separate` would have this process be, to try a runtime; nothing of the worker's is changed.

    :return: what that runtime goes by: its state folder is one of its own, to be removed afterwards
    :raises ConfigError: as `separate` does.
    """
    if os.geteuid() != 0:
        # As root two users are looked at; here the runtime at least, as whoever this is.
        config = replace(config, agent_user=None, task_user=None)
    both = _both(config)
    agent = both[0] if both else None
    with acting_as(agent):
        # Where that user may make one.
        trial = replace(config, state_dir=Path(tempfile.mkdtemp(prefix="airflow-edge-check-")))
    if agent is not None:
        _become_agent(config, trial, agent)
    return trial


@contextlib.contextmanager
def acting_as(user: User | None) -> Iterator[None]:
    """Be that user meanwhile, for what may be done to files; whoever is not root stays who it is."""
    if user is None or os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups(user.groups)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def users_of(config: Config) -> list[User | None]:
    """Give whom root has to ask as, to know what worker and tasks may do: this process's own user, unless two are set.

    What is wrong with their names `separate` says.
    """
    if os.geteuid() == 0 and config.agent_user and config.task_user:
        with contextlib.suppress(KeyError):
            return [user_named(config.agent_user), user_named(config.task_user)]
    return [None]


def closed_to(user: User) -> str:
    """Say what of Python and this package that user may not read; empty for nothing."""
    real = Path(sys.executable).resolve()
    with acting_as(user):
        return next((str(path) for path in (sys.executable, real, os.__file__, __file__) if not may_read(path)), "")


def may_read(path: Path | str) -> bool:
    """Whether whom this process is now may read that file."""
    try:
        Path(path).open("rb").close()
    except OSError:
        return False
    return True


def _both(config: Config) -> tuple[User, User] | None:
    """Give the agent's and the tasks' user; None where nobody has asked for two.

    :raises ConfigError: that cannot be; the text says why.
    """
    if config.agent_user is None and config.task_user is None:
        return None
    if config.agent_user is None or config.task_user is None:
        raise ConfigError("[edge] agent_user and task_user go together; set both, or neither")
    if sys.platform != "linux":
        raise ConfigError("[edge] agent_user needs Linux: here worker and tasks are one user; leave it out")
    if os.getuid() != 0:
        raise ConfigError("[edge] agent_user is set, and only root can be another user: start the worker as root")
    agent, task = _user(config.agent_user, "agent_user"), _user(config.task_user, "task_user")
    if agent.uid == task.uid:
        raise ConfigError("[edge] task_user has to be another user than agent_user")
    # The longest name that lies there.
    if len(os.fsencode(config.state_dir / "runtime.sock")) > MAX_SOCKET_PATH:
        raise ConfigError(f"{config.state_dir} is too long a path for two users; set [edge] state_dir to a shorter one")
    _see_configured_by_others(task)
    for user, setting in ((agent, "agent_user"), (task, "task_user")):
        if path := closed_to(user):
            raise ConfigError(
                f"'{user.name}' ([edge] {setting}) cannot read the Python that the worker runs with ({path}); make an "
                "environment that all users can read, with the system's own Python: `/usr/bin/python3 -m venv "
                "/opt/airflow-edge`, and install the worker there"
            )
    return agent, task


def _become_agent(config: Config, runtimes: Config, agent: User) -> None:
    """Leave a keeper behind for the runtimes, and become the agent."""
    keeper.begin(runtime_command(runtimes), agent.uid)
    try:
        # What is root's still is given to the agent with the first start.
        use = os.F_OK if config.state_dir.stat().st_uid == 0 else os.R_OK | os.W_OK | os.X_OK
    except FileNotFoundError:
        use = None
    except OSError:
        use = os.R_OK | os.W_OK | os.X_OK
    become(agent)
    if use is not None and not os.access(config.state_dir, use):
        raise ConfigError(
            f"'{agent.name}' may not use the state folder {config.state_dir}; see that it may pass through the folders "
            f"above it, and `chown -R {agent.name} {config.state_dir}`"
        )


def as_begun(config: Config) -> Config:
    """Give the configuration with what counts of it: what stays root goes by what it was told as it began.

    It is to be called after `separate`, by each agent that this process begins.
    """
    if keeper.here() is None:
        return config
    told_now = msgspec.json.encode({option: config.told.get(option) for option in OF_ROOT}).decode()
    begun = msgspec.json.decode(os.environ.setdefault(_BEGUN, told_now), type=dict[str, str | None])
    told = {option: value for option, value in {**config.told, **begun}.items() if option not in begun or value}
    return replace(config, told=told)


def _user(name: str, setting: str) -> User:
    try:
        user = user_named(name)
    except KeyError:
        raise ConfigError(
            f"[edge] {setting} is '{name}', and there is no such user; `useradd --system {name}`"
        ) from None
    if user.uid == 0:
        raise ConfigError(f"[edge] {setting} is root; choose a user that may do less")
    return user


def _see_configured_by_others(task: User) -> None:
    """See that tasks do not say how root is to start the worker: they could name any user in place of their own.

    :raises ConfigError: they may write to Airflow's configuration, or put another one in its place.
    """
    file = configuration_file(os.environ)
    try:
        # Of folders that are not there yet, the first that is counts: who may write to that may make them.
        folder = next(parent for parent in file.parents if parent.exists())
        around, facts = folder.stat(), file.stat() if file.exists() else None
    except (OSError, StopIteration):
        return
    if facts is not None and not stat.S_ISREG(facts.st_mode):
        # Nothing is read from /dev/null, whoever may write to it.
        return
    if facts is not None and _may_write(task, facts):
        raise ConfigError(
            f"root starts the worker by {file}, and the tasks' user '{task.name}' may write to that; "
            f"`chown root {file}; chmod go-w {file}`"
        )
    kept = facts is not None and around.st_mode & stat.S_ISVTX and around.st_uid != task.uid
    if _may_write(task, around) and not kept:
        raise ConfigError(
            f"root starts the worker by {file}, and the tasks' user '{task.name}' may put another file there; "
            f"`chown root {folder}; chmod go-w {folder}`, or set AIRFLOW_CONFIG to a file elsewhere"
        )


def _may_write(user: User, facts: os.stat_result) -> bool:
    """Whether that user may write to a file or a folder, or may give himself that."""
    if facts.st_uid == user.uid:
        return True
    group = facts.st_gid in {user.gid, *user.groups}
    return bool(facts.st_mode & (stat.S_IWGRP if group else stat.S_IWOTH))
