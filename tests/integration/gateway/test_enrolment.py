"""How a machine becomes a worker, and what it is told if it does not."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import jwt
import pytest
from airflow.models.log import Log
from sqlalchemy import select

from airflow_edge.admin.centre_keys import keyring
from airflow_edge.admin.config import session
from airflow_edge.protocol import urls
from airflow_edge.protocol.enrolment import statement_digest, write_token
from airflow_edge.protocol.tokens import PROOF_OF, body_digest
from tests.integration.gateway.conftest import JWT_SECRET
from tests.integration.gateway.site import Site

# Each test process collects the same tests under the same names, whichever second it starts in.
NOBODYS = write_token(bytes(32), "x" * 22)
IN_AN_HOUR, A_WHILE_AGO = "in an hour", "a while ago"


def proof(site, *queues, secret=JWT_SECRET, algorithm="HS512", **changes):
    now = int(time.time())
    changes = {PROOF_OF: statement_digest(site.public_key, site.name, queues or None, now), **changes}
    moments = {IN_AN_HOUR: now + 3600, A_WHILE_AGO: now - 100}
    claims = {"aud": "airflow-edge-enroll", "iat": now, "exp": now + 60, "jti": uuid4().hex, **changes}
    claims = {name: moments.get(value, value) for name, value in claims.items()}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm)


async def post(gateway, body, headers):
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.post(gateway + urls.ENROLL, content=body, headers=headers)


async def test_a_token_makes_a_worker_for_its_queues(centre):
    site = Site()
    answer = await site.enroll(centre.gateway, centre.enroll_token("a", "b"))
    assert answer.status_code == 200
    said = {"worker_id": site.worker_id, "name": site.name, "queues": ["a", "b"], "team_name": None}
    assert {name: answer.json()[name] for name in said} == said
    # Another test may have rotated it just now.
    assert answer.json()["centre_keys"][-1]["key"] in {link.key for link in keyring(centre.store).links}
    assert answer.json()["centre_proof"] == ""
    worker = centre.store.workers.get(site.id)
    assert (worker.name, worker.public_key.hex()) == (site.name, site.public_key)


async def test_an_answer_that_got_lost_is_given_again(centre):
    site, token = Site(), centre.enroll_token()
    first = await site.enroll(centre.gateway, token)
    assert (await site.enroll(centre.gateway, token)).json() == first.json()


def noted(name):
    """Give what Airflow's audit log has of enrolments under this name."""
    with session() as airflow:
        query = select(Log).where(Log.event == "edge_worker.enrol", Log.owner == f"worker {name}").order_by(Log.id)
        return [json.loads(entry.extra or "") for entry in airflow.scalars(query)]


async def test_each_enrolment_with_a_token_is_in_the_audit_log_with_its_outcome(centre):
    token = centre.enroll_token("plc")
    site, late = Site(), Site()
    await site.enroll(centre.gateway, token)
    assert (await late.enroll(centre.gateway, token)).status_code == 403
    [done], [refused] = noted(site.name), noted(late.name)
    assert (done["outcome"], done["queues"], done["with"]) == ("done", ["plc"], refused["with"])
    assert "has been used up" in refused["outcome"]
    assert done["with"].startswith("token ")
    assert token not in str([done, refused])
    stranger = Site()
    assert (await stranger.enroll(centre.gateway, NOBODYS)).status_code == 403
    # Else whoever finds the gateway could fill the log.
    assert noted(stranger.name) == []


async def test_whoever_waits_for_a_worker_sees_who_came_and_what_they_were_told(centre):
    began, token = datetime.now(UTC), centre.enroll_token("plc")
    site, late, stranger = Site(), Site(), Site()
    await site.enroll(centre.gateway, token)
    await late.enroll(centre.gateway, token)
    await stranger.enroll(centre.gateway, NOBODYS)
    names = [stranger.name, late.name, site.name]
    last, refused, done = [one for one in centre.store.enroll_attempts.since(began) if one.name in names]
    assert [(one.name, one.result) for one in (last, refused, done)] == [
        (stranger.name, "refused"),
        (late.name, "refused"),
        (site.name, "enrolled"),
    ]
    assert done.token_id is not None
    assert (refused.token_id, last.token_id, done.text) == (done.token_id, None, "for the queues plc")
    assert "has been used up" in refused.text
    assert "unknown here" in last.text
    assert token not in str([last, refused, done])


@pytest.mark.held("a token used by many at once")
async def test_a_token_is_used_up_also_by_many_at_once(centre):
    token = centre.enroll_token(uses=2)
    answers = await asyncio.gather(*(Site().enroll(centre.gateway, token) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 403, 403, 403, 403]
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert refused.json()["code"] == "enrollment_refused"
    assert "airflow edge enroll-token create" in refused.json()["detail"]


async def test_a_name_belongs_to_a_key(centre):
    site = await centre.site()
    thief = Site(site.name)
    answer = await thief.enroll(centre.gateway, centre.enroll_token())
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


async def test_a_token_may_be_for_certain_names(centre):
    token = centre.enroll_token(pattern="plant-*")
    answer = await Site("office-1").enroll(centre.gateway, token)
    assert (answer.status_code, answer.json()["code"]) == (403, "enrollment_refused")
    assert "plant-*" in answer.json()["detail"]


@pytest.mark.attack(6)
@pytest.mark.parametrize("change", ["key", "name", "queues", "time"])
async def test_attack_06_what_a_site_signs_with_its_token_enrols_nobody_else(centre, change):
    """A proxy that ends TLS never sees the token, and what it sees is for one key, one name and its queues only."""
    site, thief, token = Site(), Site(), centre.enroll_token()
    signed = site.signed_by(token)
    assert token not in json.dumps(signed)
    if change != "key":
        thief.key = site.key
    if change != "name":
        thief.name = site.name
    said = {"queues": {"queues": ["all"]}, "time": {"signed_at": signed["signed_at"] + 1}}.get(change, {})
    answer = await thief.enroll(centre.gateway, **{**signed, **said})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert (await site.enroll(centre.gateway, **signed)).status_code == 200


async def test_an_enrolment_signed_long_ago_is_refused(centre, monkeypatch):
    site, token = Site(), centre.enroll_token()
    with monkeypatch.context() as then:
        long_ago = time.time() - 3600
        then.setattr(time, "time", lambda: long_ago)
        signed = site.signed_by(token)
    answer = await site.enroll(centre.gateway, **signed)
    assert (answer.status_code, answer.json()["code"]) == (401, "clock_skew")


async def test_the_key_has_to_be_ones_own(centre):
    site, other = Site(), Site()
    body = {"public_key": other.public_key, "name": site.name, **other.signed_by(centre.enroll_token())}
    content = json.dumps(body).encode()
    answer = await post(
        centre.gateway, content, site.headers("POST", urls.ENROLL, sub="enrol", body=body_digest(content))
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


@pytest.mark.held("an enrolment signed as a worker")
async def test_an_enrolment_is_signed_by_nobody_who_is_a_worker_already(centre):
    worker, other, token = await centre.site(), Site(), centre.enroll_token()
    again = Site(f"{worker.name}-2")
    again.key = worker.key
    for site in (again, other):
        content = json.dumps({"public_key": site.public_key, "name": site.name, **site.signed_by(token)}).encode()
        signed = site.headers("POST", urls.ENROLL, sub=worker.worker_id, body=body_digest(content))
        answer = await post(centre.gateway, content, signed)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert (await other.enroll(centre.gateway, token)).status_code == 200


async def test_a_revoked_machine_enrols_anew_with_a_new_key(centre):
    site = await centre.site()
    centre.store.workers.revoke(site.name, now=datetime.now(UTC))
    again = await site.enroll(centre.gateway, centre.enroll_token())
    assert (again.status_code, again.json()["code"]) == (403, "revoked")
    new = Site(site.name)
    assert (await new.enroll(centre.gateway, centre.enroll_token())).status_code == 200
    async with new.link(centre.gateway) as link:
        assert link.welcome.name == site.name


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b"[" * 60_000, 400),
        (b'{"public_key":"' + b"0" * 64 + b'","name":"a","signed_at":1,"more":1}', 400),
        (b'{"public_key":"' + b"g" * 64 + b'","name":"a","signed_at":1}', 400),
        (b'{"public_key":"' + b"0" * 64 + b'","name":"../a","signed_at":1}', 400),
        (b'{"public_key":"' + b"0" * 64 + b'","name":"a\\ud800","signed_at":1}', 400),
        (b'{"public_key":"' + b"0" * 64 + b'","name":"a","token":"edge_x"}', 400),
        (b" " * (2 * 1024 * 1024), 413),
    ],
    ids=["nothing", "null", "deep", "more", "key", "name", "surrogate", "token itself", "long"],
)
async def test_a_malformed_request_is_told_so(centre, body, status):
    answer = await post(centre.gateway, body, {})
    assert (answer.status_code, answer.json()["code"]) == (status, "malformed")


@pytest.mark.parametrize("fields", [{}, {"token_key": "0" * 64, "shared_secret_token": "y"}])
async def test_there_is_one_way_in_at_a_time(centre, fields):
    answer = await Site().enroll(centre.gateway, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.held("the shared secret: off, wrong, old, another algorithm")
async def test_the_shared_secret_opens_nothing_by_default(centre):
    site = Site()
    answer = await site.enroll(centre.gateway, shared_secret_token=proof(site, "any"), queues=["any"])
    assert (answer.status_code, answer.json()["code"]) == (403, "enrollment_refused")
    assert "allow_shared_secret_enrollment" in answer.json()["detail"]


class TestSharedSecret:
    """Where `[edge] allow_shared_secret_enrollment` is on."""

    async def test_who_knows_it_serves_the_queues_asked_for(self, trusting_gateway):
        site = Site()
        answer = await site.enroll(trusting_gateway, shared_secret_token=proof(site, "x", "y"), queues=["x", "y"])
        assert (answer.status_code, answer.json()["queues"]) == (200, ["x", "y"])

    async def test_who_asks_for_none_serves_the_default_queue(self, trusting_gateway):
        site = Site()
        answer = await site.enroll(trusting_gateway, shared_secret_token=proof(site))
        assert (answer.status_code, answer.json()["queues"]) == (200, ["default"])

    async def test_a_proof_is_good_once(self, trusting_gateway):
        site = Site()
        token = proof(site)
        assert (await site.enroll(trusting_gateway, shared_secret_token=token)).status_code == 200
        answer = await site.enroll(trusting_gateway, shared_secret_token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "replayed")

    @pytest.mark.held("the shared secret: off, wrong, old, another algorithm")
    @pytest.mark.parametrize(
        "claims",
        [
            {"secret": "another-secret-of-the-same-length" * 2},
            {"aud": "urn:airflow.apache.org:task"},
            {"aud": None},
            {"exp": None},
            {"iat": None},
            {"iat": "yesterday"},
            {"iat": 1, "exp": 2**53},
            {"iat": IN_AN_HOUR},
            {"exp": A_WHILE_AGO},
            {"algorithm": "HS256"},
            {PROOF_OF: None},
            {PROOF_OF: "0" * 64},
        ],
        ids=repr,
    )
    async def test_a_proof_that_does_not_hold_opens_nothing(self, trusting_gateway, claims):
        site = Site()
        answer = await site.enroll(trusting_gateway, shared_secret_token=proof(site, **claims))
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
        assert "jwt_secret" in answer.json()["detail"]

    @pytest.mark.attack(6)
    @pytest.mark.parametrize("change", ["key", "name", "queues"])
    async def test_attack_06_a_proof_is_for_its_key_name_and_queues_only(self, trusting_gateway, change):
        """Who takes it on the way enrols nobody with it; its owner does, afterwards."""
        site, thief = Site(), Site()
        token = proof(site, "x")
        if change != "key":
            thief.key = site.key
        if change != "name":
            thief.name = site.name
        queues = ["x", "y"] if change == "queues" else ["x"]
        answer = await thief.enroll(trusting_gateway, shared_secret_token=token, queues=queues)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
        assert "made for another key, name or queues" in answer.json()["detail"]
        assert (await site.enroll(trusting_gateway, shared_secret_token=token, queues=["x"])).status_code == 200

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
    async def test_what_is_no_proof_opens_nothing(self, trusting_gateway, token):
        answer = await Site().enroll(trusting_gateway, shared_secret_token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
