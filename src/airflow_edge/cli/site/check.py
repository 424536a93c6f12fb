"""`airflow-edge check`: whether a worker could work here, before there is one, and what to do if not."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec

from airflow_edge import __version__
from airflow_edge.agent.config import Config, load
from airflow_edge.agent.errors import WITHOUT_TLS, AgentError, NotEnrolledError, RefusedError
from airflow_edge.agent.link.fallback import Suspicion
from airflow_edge.agent.link.websocket import WebSocketFailedError, open_websocket
from airflow_edge.agent.machine.facts import installed_airflow
from airflow_edge.agent.net import tls_and_proxy
from airflow_edge.agent.net.failures import refusal
from airflow_edge.agent.net.foreign import printable
from airflow_edge.agent.net.http import HttpClient, Response
from airflow_edge.agent.net.identity import Identity, PendingKey, Signer
from airflow_edge.agent.supervisors.runtime import RuntimeLink
from airflow_edge.checking.findings import Finding, as_json, as_line, is_right, note, ok, without_secrets, wrong
from airflow_edge.cli.site.local import look_around
from airflow_edge.cli.site.own_secrets import read_secrets
from airflow_edge.cli.site.running import findings, running
from airflow_edge.cli.site.users import rehearse
from airflow_edge.protocol import urls
from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.local import Alive, Probe, RuntimeHello, ToAgent
from airflow_edge.protocol.messages import one_line
from airflow_edge.protocol.polling import CONTENT_TYPE
from airflow_edge.protocol.problems import Code, read_problem
from airflow_edge.site.files import DamagedError, decode

RUNTIME_PATIENCE: Final = 120.0
"""Seconds for a runtime to be ready: it imports Airflow, on a machine that may be slow."""
LOOK_INTERVAL: Final = 0.1
RETIRE_PATIENCE: Final = 5.0
CLOCK_TOLERANCE: Final = 5.0
"""Seconds that clocks may differ without a word."""
MOST_SKEW: Final = 60.0
"""Seconds after which the centre refuses what a site has signed."""


def check(arguments: argparse.Namespace) -> int:
    """Say what is right and what to do; the exit status is 0 only if nothing has to be changed.

    :raises ConfigError: a flag or a setting makes no sense.
    """
    # What there is to say is in the findings.
    logging.getLogger("airflow_edge").addHandler(logging.NullHandler())
    logging.getLogger("airflow_edge").propagate = False
    config = load(
        {
            "state_dir": arguments.state_dir,
            "api_url": arguments.url,
            "ca_file": arguments.ca_file,
            "client_cert": arguments.client_cert,
            "client_key": arguments.client_key,
        }
    )
    return asyncio.run(_check(config, arguments))


async def _check(config: Config, arguments: argparse.Namespace) -> int:
    found = []
    async for finding in _findings(config, start=not arguments.skip_runtime):
        found.append(finding)
        if arguments.output == "text":
            print(as_line(finding), flush=True)
    if arguments.output == "json":
        print(as_json(found))
    return 0 if is_right(found) else 1


async def _findings(config: Config, *, start: bool) -> AsyncIterator[Finding]:
    found = running(config)
    for finding in (*look_around(config, os.environ, found), *findings(config, found)):
        yield finding
    identity, finding = _identity(config)
    yield finding
    trial = None
    try:
        # From here on this is whom the worker would be; what comes before knows of both.
        trial = rehearse(config)
    except (AgentError, OSError) as error:
        yield wrong("the worker does not start", str(error))
    try:
        async for finding in _network(config, identity):
            yield finding
        if start and trial is not None:
            async for finding in _runtime(trial):
                yield finding
            async for finding in read_secrets(config, os.environ):
                yield finding
    finally:
        if trial is not None:
            shutil.rmtree(trial.state_dir, ignore_errors=True)


def _identity(config: Config) -> tuple[Identity | None, Finding]:
    try:
        identity = Identity.load(config.identity_file)
    except NotEnrolledError as error:
        if config.api_url and not config.identity_file.exists():
            return None, note(f"not enrolled yet: airflow-edge enroll {without_secrets(config.api_url)} TOKEN")
        return None, wrong("this site has no key that can be used", str(error))
    return identity, ok(f"enrolled as '{identity.name}' for {', '.join(identity.queues)}")


# The centre, and the way there


async def _network(config: Config, identity: Identity | None) -> AsyncIterator[Finding]:
    url = config.api_url or (identity.api_url if identity else "")
    if not url:
        yield note("no centre to look for: name it with --url, or enrol")
        return
    try:
        gateway = urls.gateway_url(url)
        proxy = tls_and_proxy.proxy_url(gateway)
    except (ValueError, AgentError) as error:
        yield wrong(f"the way to {without_secrets(url)} is not clear", str(error))
        return
    yield ok(f"the centre is {gateway}, {f'by the proxy {without_secrets(proxy)}' if proxy else 'without a proxy'}")
    if urls.unprotected(gateway):
        may = identity is not None and identity.insecure
        how = ANEW if identity else "airflow-edge enroll URL TOKEN"
        yield note(WITHOUT_TLS) if may else wrong(WITHOUT_TLS, f"use https://, or allow it: {how} --insecure")
    yield await _names(proxy or gateway)
    signer = identity or PendingKey.made_up()
    found = await _https(gateway, signer, config)
    for finding in found:
        yield finding
    if is_right(found):
        yield await _link(gateway, signer, config, enrolled=identity is not None)


async def _names(url: str) -> Finding:
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 443
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=6)
    except OSError as error:
        return wrong(f"the host name {host} is not known here ({error.strerror})", "check the URL, DNS and the proxy")
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    return ok(f"{host} has {'the address' if len(addresses) == 1 else 'the addresses'} {', '.join(addresses[:4])}")


async def _https(gateway: str, signer: Signer, config: Config) -> list[Finding]:
    try:
        client = HttpClient(gateway, signer, trust=config.trust)
    except AgentError as error:
        return [wrong("the centre cannot be asked", str(error))]
    try:
        response = await client.request("GET", urls.HEALTH)
        centre = _centre(response)
        if centre is None:
            raise refusal(response.status, response.body, gateway)
    except AgentError as error:
        return [wrong("the centre cannot be used", str(error))]
    finally:
        await client.aclose()
    has = f"airflow-edge {centre.version}" + (
        f" and Airflow {centre.airflow_version}" if centre.airflow_version else ""
    )
    return [
        ok(f"the centre answers, with {printable(has)}"),
        *_clock(response.headers.get("date", "")),
        *_versions(centre, installed_airflow()),
    ]


class _Centre(msgspec.Struct):
    """What the gateway says of its health; an older one says less."""

    version: str
    airflow_version: str = ""
    minimum_worker_version: str | None = None
    minimum_airflow_version: str | None = None


def _centre(response: Response) -> _Centre | None:
    """Read what the gateway says; None where it is not the gateway that answers."""
    with contextlib.suppress(DamagedError):
        return decode(response.body, _Centre) if response.status == HTTPStatus.OK else None
    return None


def _versions(centre: _Centre, airflow: str) -> Iterator[Finding]:
    """Say what the centre will think of what is installed here."""
    if not airflow:
        # That is said already.
        return
    # Airflow brings what this needs.
    from airflow_edge.rules.versions import Rules, is_newer, judge

    rules = Rules(
        worker=centre.version,
        airflow=centre.airflow_version or airflow,
        minimum_worker=centre.minimum_worker_version,
        minimum_airflow=centre.minimum_airflow_version,
    )
    verdict = judge(__version__, airflow, rules)
    if verdict.refused:
        yield wrong("the centre gives a worker with these versions no tasks", verdict.refused)
    if verdict.warning:
        yield note(f"the versions differ: {verdict.warning}")
    if is_newer(airflow, rules.airflow):
        yield note(
            f"tasks here may ask for what Airflow {rules.airflow} does not know yet: upgrade the centre first, or "
            f"install Airflow {rules.airflow} here"
        )


def _clock(date: str) -> Iterator[Finding]:
    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return
    off = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the centre's"
    if abs(ahead) > MOST_SKEW:
        yield wrong(off, "set it right, for example with NTP")
    elif abs(ahead) > CLOCK_TOLERANCE:
        yield note(f"{off}: tasks go by it")
    else:
        yield ok("the clocks of site and centre agree")


async def _link(gateway: str, signer: Signer, config: Config, *, enrolled: bool) -> Finding:
    """Try the ways that the link has, without linking: that would take the place of a worker that runs."""
    try:
        transport = await open_websocket(gateway, signer, trust=config.trust)
    except WebSocketFailedError as failure:
        if failure.suspicion is not Suspicion.NONE:
            return await _polling(gateway, signer, config, f"WebSockets do not get through: {failure.error}", enrolled)
        if enrolled:
            return wrong("the centre does not let this worker in", str(failure.error))
        return ok("WebSockets get as far as the centre; that it lets the worker in shows once it is enrolled")
    except AgentError as error:
        return wrong("the link cannot be made", str(error))
    await transport.close()
    return ok("WebSockets get through, and the centre lets this worker in")


async def _polling(gateway: str, signer: Signer, config: Config, why: str, enrolled: bool) -> Finding:
    """Ask for a link by long polling, with no greeting: the centre refuses that only after it has let us in."""
    client = HttpClient(gateway, signer, trust=config.trust)
    try:
        response = await client.request("POST", urls.POLL, headers={"Content-Type": CONTENT_TYPE}, body=b"")
        problem = read_problem(response.body)
        if problem is not None and problem.code == Code.MALFORMED:
            return note(f"{why}; the link goes by long polling, which gets through and is slower")
        raise refusal(response.status, response.body, gateway)
    except RefusedError as error:
        if enrolled:
            return wrong(f"{why}; by long polling the centre does not let this worker in", str(error))
        return note(f"{why}; long polling gets as far as the centre, and is slower")
    except AgentError as error:
        return wrong(f"{why}, nor does long polling", str(error))
    finally:
        await client.aclose()


# The runtime


async def _runtime(config: Config) -> AsyncIterator[Finding]:
    """Start a runtime with what a worker's would have."""
    said: asyncio.Queue[ToAgent] = asyncio.Queue()
    runtime = RuntimeLink(config, heard=said.put_nowait, outdated=lambda _: None, gone=lambda: None)
    running = asyncio.create_task(runtime.run())
    began = time.monotonic()
    try:
        hello = await _until_ready(runtime, running, said)
        if isinstance(hello, str):
            yield wrong("the runtime does not start", hello)
        else:
            seconds = time.monotonic() - began
            yield ok(f"the runtime starts, with Airflow {hello.airflow_version}, in {seconds:.0f} s")
            if hello.trouble:
                yield wrong("no task can run", hello.trouble)
            for warning in hello.warnings:
                yield note(warning)
            yield await _processes(runtime, said)
    finally:
        await runtime.retire(RETIRE_PATIENCE)
        running.cancel()


async def _until_ready(
    runtime: RuntimeLink, running: asyncio.Task[None], said: asyncio.Queue[ToAgent]
) -> RuntimeHello | str:
    """Give the runtime's greeting, or why there is none."""
    deadline = time.monotonic() + RUNTIME_PATIENCE
    while time.monotonic() < deadline:
        if running.done():
            return one_line(str(running.exception()))
        if runtime.ended:
            return runtime.condition
        try:
            async with asyncio.timeout(LOOK_INTERVAL):
                if isinstance(hello := await said.get(), RuntimeHello):
                    return hello
        except TimeoutError:
            continue
    return runtime.condition or f"it was not ready after {RUNTIME_PATIENCE:g} s"


async def _processes(runtime: RuntimeLink, said: asyncio.Queue[ToAgent]) -> Finding:
    runtime.send(Probe(fork=True))
    try:
        async with asyncio.timeout(RETIRE_PATIENCE):
            while not isinstance(answer := await said.get(), Alive):
                """Whatever else it has to say."""
    except TimeoutError:
        return wrong("the runtime does not answer", "see what it waits for: a disk that is gone, say")
    if answer.obstacle:
        return wrong("no task can be started", answer.obstacle)
    return ok("processes for tasks are to be had")
