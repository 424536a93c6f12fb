"""Whether sudo lets tasks be other users than theirs, as `run_as_user` of a Dag asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from airflow_edge.agent.config import Config
from airflow_edge.agent.site_policy.file import SitePolicyFile
from airflow_edge.agent.supervisors.runtime_process import interpreter
from airflow_edge.checking.findings import Finding, ok, wrong
from airflow_edge.cli.site.users import acting_as, users_of
from airflow_edge.protocol.messages import one_line
from airflow_edge.site.kernel import User

SUDO_PATIENCE: Final = 10.0
"""Seconds: it may ask a directory server."""
LONGEST_WORDS: Final = 200
_PATTERN: Final = frozenset("*?[")
_OF_PYTHON: Final = ("unable to execute", "command not found", "Fatal Python error")
"""What is said where sudo has let somebody in who cannot start Python."""


class _SudoSaid(NamedTuple):
    status: int
    said: str


def third_users(config: Config, impersonated: str) -> Iterator[Finding]:
    """Say of each user whom tasks are to be, or may ask to be by the site policy, whether they can.

    :param impersonated: the user of `[core] default_impersonation`; empty for none
    """
    agent, task = users_of(config)[0], users_of(config)[-1]
    if config.task_user and task is None:
        # Only root can look.
        return
    who = task.name if task else own_name()
    with acting_as(agent):
        terms = SitePolicyFile(config.site_policy).terms
    wanted = {
        name: f"tasks may ask to be '{name}' (`users` of {config.site_policy})"
        for name in (terms.users or () if terms else ())
        # Whom a pattern means shows with the tasks that ask.
        if not _PATTERN & set(name)
    }
    if impersonated:
        wanted[impersonated] = f"tasks are to be '{impersonated}' ([core] default_impersonation)"
    for name, about in wanted.items():
        if name != who:
            yield _third_user(about, name, who, task)


def _third_user(about: str, name: str, who: str, task: User | None) -> Finding:
    if shutil.which("sudo") is None:
        return wrong(f"{about}, and there is no sudo here", "install it, or leave that out")
    # As Airflow calls it, but for what is run.
    command = ["sudo", "-n", "-E", "-H", "-u", name, interpreter(), "-c", ""]
    answer = _run(command, task)
    if answer is None:
        return wrong(
            f"{about}, and sudo has not said within {SUDO_PATIENCE:g} s whether it allows '{who}' that",
            f"see what it waits for (a directory server, DNS?), as a task would at each start: sudo -n -l -u {name}",
        )
    if answer.status != 0:
        lines = [line for line in answer.said.split("\n") if line.strip()]
        words = f" ({one_line(lines[-1], LONGEST_WORDS)})" if lines else ""
        if any(part in answer.said for part in _OF_PYTHON):
            return wrong(f"{about}, who cannot start the worker's Python{words}", f"let '{name}' read {interpreter()}")
        rule = f"{who} ALL=({name}) NOPASSWD:SETENV: {interpreter()}"
        return wrong(
            f"{about}, and sudo does not allow '{who}' that{words}", f"put into a file of /etc/sudoers.d: {rule}"
        )
    if task is None and os.geteuid() != 0:
        return wrong(
            f"{about}, and a worker that is one user cannot end what is another user's",
            "have root start it, with [edge] agent_user and task_user (Linux)",
        )
    return ok(f"{about}, which sudo allows '{who}'")


def _run(command: list[str], user: User | None) -> _SudoSaid | None:
    """Run a program as that user, or as this one; None if it has not ended within `SUDO_PATIENCE`."""
    another: dict[str, Any] = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
    nothing = subprocess.DEVNULL
    # No pipe: whoever does not end may be another's, and hold it open.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            # Nothing of this process's is for whom it may become.
            env={"PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            stdin=nothing,
            stdout=nothing,
            stderr=errors,
            **another,
        )
        try:
            status = process.wait(SUDO_PATIENCE)
        except subprocess.TimeoutExpired:
            # It is root's: whoever is not may not end it, and has no end of it to wait for.
            with suppress(PermissionError, subprocess.TimeoutExpired):
                process.kill()
                process.wait(1)
            return None
        errors.seek(0)
        return _SudoSaid(status, errors.read().decode(errors="replace"))


def own_name() -> str:
    """Give this process's user; a container's may have no name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"#{os.geteuid()}"
