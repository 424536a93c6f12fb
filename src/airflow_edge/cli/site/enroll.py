"""`airflow-edge enroll`, and how a worker of the old kind enrols itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shlex
import sys
import time
from pathlib import Path

from airflow_edge.agent.config import Config, Sources, load
from airflow_edge.agent.errors import (
    ConfigError,
    ForeignAnswerError,
    NotEnrolledError,
    NotReadyError,
    UnreachableError,
)
from airflow_edge.agent.net.enrolment import SharedSecret, default_name
from airflow_edge.agent.net.enrolment import enroll as enroll_here
from airflow_edge.agent.net.foreign import IN_BETWEEN
from airflow_edge.agent.net.identity import Identity, make_private_folder
from airflow_edge.agent.process.daemon import pid_file
from airflow_edge.backoff import Backoff
from airflow_edge.protocol.enrolment import read_token
from airflow_edge.site.files import is_there

log = logging.getLogger(__name__)

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0
_STARTING_PATIENCE = 60.0
"""Seconds for which an API server may be starting."""
_FOREIGN_PATIENCE = 10.0
"""Seconds for which somebody else may answer in its place: longer, and the URL is wrong."""


def enroll(arguments: argparse.Namespace) -> int:
    """Register this machine's key at the centre, and store it.

    :raises AgentError: it did not work; the text says what to do.
    """
    _out_of_sight(arguments.token or "")
    if arguments.queues is not None and not arguments.shared_secret:
        raise ConfigError(
            "-q goes with --shared-secret: with a token a worker serves the token's queues; leave -q out, or have a "
            "token made for these: airflow edge enroll-token create --queues " + shlex.quote(arguments.queues)
        )
    config = load(
        {
            "state_dir": arguments.state_dir,
            "ca_file": arguments.ca_file,
            "client_cert": arguments.client_cert,
            "client_key": arguments.client_key,
            "api_url": arguments.url,
        },
        name=arguments.name,
        queues=arguments.queues,
    )
    if config.api_url is None:
        raise ConfigError("Airflow's URL is missing: airflow-edge enroll URL TOKEN")
    secret = SharedSecret.find(Sources()) if arguments.shared_secret else None
    if arguments.shared_secret and secret is None:
        raise ConfigError(
            "--shared-secret needs [api_auth] jwt_secret (AIRFLOW__API_AUTH__JWT_SECRET), and there is none"
        )
    token = _token(arguments)
    if not arguments.force:
        _refuse_enrolled(config)
    make_private_folder(config.state_dir)
    with pid_file(config.lock_file):
        identity = asyncio.run(_enroll(config, config.api_url, token, secret, insecure=arguments.insecure))
    start = ["airflow-edge", "worker", *(["--state-dir", arguments.state_dir] if arguments.state_dir else [])]
    print(f"enrolled as '{identity.name}' for {_queues(identity)}; start the worker with `{shlex.join(start)}`")
    if os.geteuid() == 0:
        folder = shlex.quote(str(config.state_dir))
        if config.agent_user:
            print(f"(as root; when root starts the worker, '{config.agent_user}' is given {folder}: [edge] agent_user)")
            return 0
        print(f"(as root; a worker that runs as another user needs the folder as its own: chown -R USER: {folder})")
    return 0


def ensure_enrolled(config: Config) -> Identity:
    """Give the worker's identity; one that has none but the shared secret enrols itself, as soon as the centre answers.

    :raises AgentError: there is none, and none is to be had.
    """
    try:
        return Identity.load(config.identity_file)
    except NotEnrolledError:
        if is_there(config.identity_file) or not may_enroll_itself(config):
            raise
    secret = SharedSecret.find(Sources())
    name = config.name or default_name()
    log.info("not enrolled: enrolling as '%s' with the shared secret ([api_auth] jwt_secret)", name)
    identity = asyncio.run(_enroll(config, config.api_url or "", None, secret, for_ever=True))
    log.info("enrolled as '%s' for %s", identity.name, _queues(identity))
    return identity


def may_enroll_itself(config: Config) -> bool:
    """Whether this site is configured the old way: with the centre's secret, and where the centre is."""
    return config.api_url is not None and SharedSecret.find(Sources()) is not None


async def _enroll(
    config: Config,
    api_url: str,
    token: str | None,
    secret: SharedSecret | None,
    *,
    for_ever: bool = False,
    insecure: bool = False,
) -> Identity:
    """Enrol with a token or the secret.

    :param for_ever: whether to wait until any gateway answers; else only for what is likely to pass, and not for long
    """
    waits = Backoff(_FIRST_WAIT, _LONGEST_WAIT if for_ever else _FIRST_WAIT)
    began = time.monotonic()
    said = ""
    while True:
        try:
            return await enroll_here(
                config.identity_file,
                api_url,
                config.name or default_name(),
                token=token,
                secret=secret,
                queues=config.queues if secret else None,
                trust=config.trust,
                insecure=insecure,
            )
        except UnreachableError as error:
            wait = max(waits.next(), getattr(error, "retry_after", 0.0))
            if for_ever:
                log.warning("cannot enrol yet: %s; trying again in %.0f s", error, wait)
            else:
                if (left := began + _patience_with(error) - time.monotonic()) <= 0:
                    raise
                wait = min(wait, left)
                if str(error) != said:
                    said = str(error)
                    print(f"{said}\nwaiting for up to {left:.0f} s …", file=sys.stderr, flush=True)
            await asyncio.sleep(wait)


def _patience_with(error: UnreachableError) -> float:
    """Give the seconds for which enrolling by hand is tried again after this, since that would be the next step."""
    match error:
        case NotReadyError():
            return _STARTING_PATIENCE
        case ForeignAnswerError(status=status) if status in IN_BETWEEN:
            return _STARTING_PATIENCE
        case ForeignAnswerError():
            return _FOREIGN_PATIENCE
    return 0.0


def _token(arguments: argparse.Namespace) -> str | None:
    given: str | None = arguments.token
    if arguments.shared_secret:
        if given is not None:
            raise ConfigError("there is an enrolment token and --shared-secret; give one of them")
        return None
    token = sys.stdin.readline().strip() if given == "-" else given
    if not token:
        raise ConfigError(
            "the enrolment token is missing: airflow-edge enroll URL TOKEN; at the centre, `airflow edge enroll-token "
            "create` makes one"
        )
    return token


def _out_of_sight(token: str) -> None:
    """Have nobody read the token off this process's command line, which is everybody's on Linux.

    The same command begins anew with it at its input; this does not come back then.
    """
    try:
        read_token(token)
        words = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    except (OSError, ValueError):
        # It is none, or nobody can look.
        return
    secret = os.fsencode(token)
    # Where another program has called this, its command line is its own.
    if secret not in words or not sys.executable:
        return
    reader, writer = os.pipe()
    os.write(writer, secret + b"\n")
    os.close(writer)
    os.dup2(reader, 0)
    # Where that fails, as with an interpreter that was replaced, the token stays in sight, and this goes on.
    with contextlib.suppress(OSError):
        os.execv(sys.executable, [b"-" if word == secret else word for word in words])  # noqa: S606 - our own


def _refuse_enrolled(config: Config) -> None:
    if is_there(config.identity_file):
        identity = Identity.load(config.identity_file)
        raise ConfigError(
            f"{config.state_dir} is enrolled already, as '{identity.name}' at {identity.api_url}; start it with "
            "`airflow-edge worker`, enrol it anew with --force, or give another worker another folder with --state-dir"
        )


def _queues(identity: Identity) -> str:
    names = ", ".join(identity.queues)
    return f"the queue {names}" if len(identity.queues) == 1 else f"the queues {names}"
