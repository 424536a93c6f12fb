"""Ten thousand bad messages and requests: no 5xx, no crash, and nothing is changed by them.

Over both kinds of database: 2 × (3,000 messages, 300 first messages, 1,200 requests, 600 made from the document).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import asynccontextmanager, suppress
from typing import get_args
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.transport.serialization import Binary
from sqlalchemy import MetaData, select
from websockets.exceptions import ConnectionClosed

from airflow_edge.gateway.openapi import document
from airflow_edge.protocol import messages, tokens, urls
from airflow_edge.protocol.messages import Accepted, Offer
from airflow_edge.protocol.polling import CONTENT_TYPE
from airflow_edge.protocol.session import site_session
from harness.client import NO_CAS
from tests.integration.gateway.site import Site, SiteLink

VOLATILE = {
    # Each accepted token leaves its mark here, also one that is refused for another reason afterwards.
    "airflow_edge_nonce": None,
    # Who is linked where, and when it was last seen.
    "airflow_edge_worker": {
        "state", "concurrency", "last_seen_at", "changed_at", "boot_id", "link_id", "gateway_id", "transport",
        "agent_version", "airflow_version", "protocol", "system", "instance", "life", "host_name", "address",
        "linked_at", "question", "answered", "answers_there", "silent", "conditions", "warnings", "closed",
    },
    # That one of them linked, or fell silent.
    "airflow_edge_worker_event": None,
    # Who wanted to be enrolled and was refused; some of the newest only.
    "airflow_edge_enroll_attempt": None,
    # The gateway says again and again that it runs.
    "airflow_edge_process": None,
    # Offers that nobody answered go back into the queue meanwhile.
    "airflow_edge_job": {"state", "lease_until", "offered_at", "past"},
    # The gateway keeps the tasks of jobs alive that are at workers.
    "task_instance": {"last_heartbeat_at"},
}  # fmt: skip

pytestmark = [pytest.mark.hypothesis, pytest.mark.one_database]

QUIET = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def dump(engine):
    """Everything in the database that these tests must not change."""
    tables = MetaData()
    tables.reflect(engine)
    content = {}
    with engine.connect() as connection:
        for name, table in tables.tables.items():
            volatile = VOLATILE.get(name, set())
            if volatile is not None:
                kept = [column for column in table.columns if column.name not in volatile]
                content[name] = sorted(map(repr, connection.execute(select(*kept))))
    return content


@asynccontextmanager
async def unchanged(centre):
    """Compare the whole database before and after."""
    before = dump(centre.engine)
    yield
    after = dump(centre.engine)
    changed = {name: set(rows) ^ set(before.get(name, ())) for name, rows in after.items() if rows != before.get(name)}
    assert not changed


@pytest.fixture(autouse=True)
def no_error_logged(caplog):
    """Whatever comes from outside is no error of the server."""
    yield
    records = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not [record.getMessage() for record in records if record.name.startswith(("uvicorn", "airflow_edge"))]


@pytest.fixture
async def victim(centre):
    """A worker with a running job, and another job that waits: what an attacker would like to reach."""
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway, concurrency=1) as link:
        job = centre.queue(queue, workload_id=centre.task_instance(queue))
        offer = await link.get(Offer)
        await link.say(Accepted(job_id=offer.job_id, assignment=1))
        await link.acknowledged()
        centre.queue(queue)
        yield job


# Messages

VICTIM = "cae3a4e7-5563-4d2b-8dce-0b08f2d8fe5e"
"""Stands for the id of a job that is another's, which is not known yet."""
ids = st.uuids().map(str)
numbers = st.integers(-(2**70), 2**70)
scalars = st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=30) | st.binary(max_size=30)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = {kind.__name__: kind.__struct_fields__ for kind in get_args(messages.SiteMessage)}


LIKELY = {
    "job_id": st.just(VICTIM) | ids,
    "assignment": st.integers(1, 3),
    "exit_code": st.none() | st.integers(-3, 300),
    "signal": st.none() | st.integers(0, 64),
    "reason": st.text(max_size=20),
    "offset": st.integers(0, 2**63 - 1),
    "size": st.integers(1, 300_000),
    "crc32": st.integers(0, 2**32 - 1),
    "data": st.binary(max_size=50),
    "sha256": st.text("0123456789abcdef", min_size=64, max_size=64),
    "state": st.sampled_from(["idle", "running", "terminating", "unknown", "offline", "starting"]),
    "alive": st.lists(st.just(VICTIM) | ids, max_size=3),
    "system": st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9) | numbers | st.floats(), max_size=4),
}
kinds, chances = st.sampled_from(sorted(FIELDS)), st.integers(0, 99)


@st.composite
def bodies(draw):
    """A message with the right fields and anything in them, often about a job that is another's."""
    kind = draw(kinds)
    body = {"type": kind}
    for field in FIELDS[kind]:
        chance = draw(chances)
        if chance:
            body[field] = draw(values if chance < 3 else LIKELY.get(field, values))
    return body


shapes, numberings = st.sampled_from(["message"] * 17 + ["frame", "bytes", "cut"]), st.sampled_from(["next"] * 19 + [3])


@st.composite
def frames(draw):
    """Bytes for the wire: a frame with a made-up message, or not even that."""
    shape = draw(shapes)
    if shape == "frame":
        return None, encoded(draw(values))
    if shape == "bytes":
        return None, draw(st.binary(max_size=60))
    body = draw(bodies())
    if shape == "cut":
        whole = encoded([1, 0, body])
        return None, whole[: draw(st.integers(0, len(whole)))]
    return draw(numberings), body


def encoded(value):
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, ValueError):
        # An integer that MessagePack cannot say: as text.
        return msgspec.msgpack.encode(repr(value))


UNNUMBERED = {"Hello", "Status", "LogChunk", "WorkerLog", "Ping"}


def generated(strategy, count):
    """So many examples of a strategy, ten at a time: most of the time goes into what is around one."""
    made = []

    @settings(QUIET, max_examples=count // 10)
    @given(st.tuples(*[strategy] * 10))
    def collect(examples):
        made.extend(examples)

    collect()
    assert len(made) >= count
    return made


def about(victim, data):
    """The same bytes with the real job in place of the one they were made with."""
    return data.replace(VICTIM.encode(), str(victim.id).encode())


async def test_3000_messages_on_living_links(centre, victim):
    messages_left = iter(generated(frames(), 3_400))
    told = 0

    async def tell(site):
        nonlocal told
        link_over = False
        while not link_over:
            async with site.link(centre.gateway) as link:
                number = 0
                with suppress(ConnectionClosed):
                    for seq, body in messages_left:
                        if seq is not None:
                            numbered = body["type"] not in UNNUMBERED
                            number += numbered
                            body = encoded([(number if numbered else 0) if seq == "next" else seq, 0, body])
                        await link.connection.send(about(victim, body))
                        told += 1
                    link_over = True
                await link.connection.close()
                assert link.connection.close_code in {1000, 4400}, link.connection.close_reason

    sites = [await centre.site(centre.queue_name()) for _ in range(4)]
    async with unchanged(centre), asyncio.TaskGroup() as together:
        for site in sites:
            together.create_task(tell(site))
    # One that met a link just closed did not arrive.
    assert told >= 3_000
    await assert_alive(centre)


async def test_300_first_frames(centre, victim):
    site = await centre.site(centre.queue_name())
    hellos = bodies().map(lambda body: encoded([0, 0, body]))
    async with unchanged(centre):
        for data in generated(st.binary(max_size=60) | values.map(encoded) | hellos, 300):
            async with site.connection(centre.gateway) as connection:
                await connection.send(about(victim, data))
                code, _ = await SiteLink(connection, site_session("s")).closed()
                assert code == 4400
    await assert_alive(centre)


# Requests

TOGETHER = 12
LIMITS = httpx.Limits(max_connections=TOGETHER, max_keepalive_connections=TOGETHER)
methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80)
paths = st.one_of(
    st.sampled_from(
        [urls.ENROLL, urls.LINK, urls.HEALTH, urls.EXECUTION, "/", "/v1", "/v1/worker/x", "/v1/jobs/fetch/x", "/v2"]
    ),
    st.text(max_size=40).map(lambda text: f"{urls.EXECUTION}/{quote(text, safe='')}"),
    st.lists(
        st.sampled_from(["task-instances", "xcoms", "variables", "store", "ti", "..", ".", "", "%2e%2e", "%00", "run"]),
        max_size=5,
    ).map(lambda parts: "/".join([urls.EXECUTION, *parts])),
)  # fmt: skip
requests = st.fixed_dictionaries(
    {
        "method": methods,
        "path": paths,
        "authorization": st.sampled_from(["none", "junk", "valid", "valid", "other", "strange", "strange"]),
        "claims": st.fixed_dictionaries(
            {},
            optional={
                "iat": numbers | st.floats() | st.just(10**400),
                "exp": numbers,
                "sub": values,
                "jti": values,
                "aud": values,
                "htm": values,
            },
        ),
        "junk": visible,
        "job": st.sampled_from(["none", "victim", "junk", "unknown"]),
        "body": st.binary(max_size=200) | values.map(lambda value: json.dumps(value, default=str).encode()),
        "type": st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "", "x/y; q"]),
    }
)


async def test_1200_requests(centre, victim):
    site = await centre.site(centre.queue_name())
    # No more connections than requests at a time: the client looks at each of them before each request.
    client = httpx.AsyncClient(trust_env=False, verify=NO_CAS, timeout=60, limits=LIMITS)
    async with unchanged(centre), client:

        async def send(request):
            headers = {"Content-Type": request["type"]}
            names = {"none": "", "victim": f"{victim.id}:1", "junk": request["junk"], "unknown": f"{uuid4()}:1"}
            if job := names[request["job"]]:
                headers[urls.JOB_HEADER] = job
            signed = {"valid": request["path"], "other": "/v1/other"}.get(request["authorization"])
            if signed is not None:
                subject = {"sub": "enrol"} if request["path"] == urls.ENROLL else {}
                digest = tokens.body_digest(request["body"])
                headers |= site.headers(request["method"], signed, job=job, body=digest, **subject)
            elif request["authorization"] == "strange":
                now = int(time.time())
                good = {"sub": site.worker_id, "aud": tokens.AUDIENCE, "iat": now, "exp": now + 60, "jti": uuid4().hex}
                claims = {**good, "htm": request["method"], "htu": request["path"], **request["claims"]}
                payload = json.dumps(claims, default=str).encode()
                headers["Authorization"] = f"Bearer {site.strange_token(payload)}"
            elif request["authorization"] == "junk":
                headers["Authorization"] = f"Bearer {request['junk']}"
            answer = await client.send(
                httpx.Request(
                    request["method"],
                    centre.gateway,
                    headers=headers,
                    content=request["body"],
                    extensions={"target": (httpx.URL(centre.gateway).path + request["path"]).encode()},
                )
            )
            assert answer.status_code < 500, (request, answer.status_code, answer.text)
            assert answer.status_code >= 400 or request["path"] == urls.HEALTH, (request, answer.status_code)

        some = generated(requests, 1_200)
        for first in range(0, len(some), TOGETHER):
            await asyncio.gather(*map(send, some[first : first + TOGETHER]))
    await assert_alive(centre)


@schemathesis.serializer(CONTENT_TYPE)
def packed(_, value):
    """What the document calls a string of bytes is sent as it is, and anything else as what a site might send."""
    return value.data if isinstance(value, Binary) else msgspec.msgpack.encode(value)


schema = schemathesis.openapi.from_dict(json.loads(document()))
sites: dict[str, Site] = {}


@schema.include(method=["POST", "GET"]).parametrize()
@settings(QUIET, max_examples=200)
def test_200_requests_by_the_document_for_each_operation(centre, case):
    site = sites.setdefault(centre.gateway, Site())
    subject = {"sub": "enrol"} if case.path == urls.ENROLL else {}

    def sign(request):
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        said = {"query": urlsplit(request.url).query, "job": request.headers.get(urls.JOB_HEADER, "")}
        signed = site.headers(request.method, case.formatted_path, body=tokens.body_digest(body), **said, **subject)
        request.headers.update(signed)
        return request

    answer = case.call(base_url=centre.gateway, auth=sign)
    assert answer.status_code < 500, (case.as_curl_command(), answer.text)
    assert answer.status_code >= 400 or case.path == urls.HEALTH


async def assert_alive(centre):
    """The gateway still does its work."""
    queue = centre.queue_name()
    site = await centre.site(queue)
    async with site.link(centre.gateway) as link:
        job = centre.queue(queue)
        assert (await link.get(Offer)).job_id == str(job.id)
