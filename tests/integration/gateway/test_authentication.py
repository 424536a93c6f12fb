"""Tokens of requests, over real sockets: who gets in, and what the others are told."""

from __future__ import annotations

import time

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from airflow_edge.protocol import urls

pytestmark = pytest.mark.one_database

CALL = "/variables/none"


async def call(centre, headers, path=CALL, method="GET"):
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.request(method, centre.gateway + urls.EXECUTION + path, headers=headers)


@pytest.fixture
async def site(centre):
    return await centre.site(centre.queue_name())


@pytest.mark.held("a clock that is off, a token for years")
@pytest.mark.parametrize("seconds", [-3600, 3600, 90])
async def test_a_wrong_clock_is_named_with_its_seconds(centre, site, seconds):
    answer = await call(centre, site.headers("GET", urls.EXECUTION + CALL, now=time.time() + seconds))
    if seconds == 90:
        assert answer.status_code == 401
    assert answer.json()["code"] == "clock_skew"
    named = int(next(word for word in answer.json()["detail"].split() if word.isdigit()))
    assert abs(named - abs(seconds)) <= 5
    assert "NTP" in answer.json()["detail"]


@pytest.mark.parametrize("seconds", [-50, 50])
async def test_a_clock_that_is_a_little_off_is_borne(centre, site, seconds):
    answer = await call(centre, site.headers("GET", urls.EXECUTION + CALL, now=time.time() + seconds))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.held("replay at one API server")
async def test_a_token_is_good_for_one_call(centre, site):
    headers = site.headers("GET", urls.EXECUTION + CALL)
    assert (await call(centre, headers)).status_code == 400
    again = await call(centre, headers)
    assert (again.status_code, again.json()["code"]) == (401, "replayed")


@pytest.mark.attack(7)
async def test_a_token_for_a_link_is_good_once_on_all_api_servers(centre, site, other_gateway):
    headers = site.headers("GET", urls.LINK)
    async with connect(urls.link_url(centre.gateway), additional_headers=headers, proxy=None):
        for gateway in (centre.gateway, other_gateway):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(urls.link_url(gateway), additional_headers=headers, proxy=None):
                    pass
            assert caught.value.response.status_code == 401
            assert b'"replayed"' in caught.value.response.body


@pytest.mark.held("another spelling of a signature")
async def test_another_spelling_of_a_signature_is_no_other_token(centre, site, other_gateway):
    token = site.token("GET", urls.LINK)
    async with connect(
        urls.link_url(centre.gateway), additional_headers={"Authorization": f"Bearer {token}"}, proxy=None
    ):
        pass
    # 64 bytes leave four bits of the last character unused.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    with pytest.raises(InvalidStatus) as caught:
        async with connect(
            urls.link_url(other_gateway), additional_headers={"Authorization": f"Bearer {other}"}, proxy=None
        ):
            pass
    # Some releases of PyJWT take it for the same token, some for none.
    assert any(code in caught.value.response.body for code in (b'"replayed"', b'"bad_token"'))


@pytest.mark.held("another method or path")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "airflow"}, "bad_token"),
        ({"htm": "POST"}, "bad_token"),
        ({"htu": "/v1/execution/variables/other"}, "bad_token"),
        ({"htu": "/v1/link"}, "bad_token"),
        ({"sub": "00000000-0000-4000-8000-000000000000"}, "unknown_worker"),
        ({"sub": "enrol"}, "unknown_worker"),
        ({"exp": 1}, "clock_skew"),
    ],
)
async def test_a_token_that_claims_something_else_opens_nothing(centre, site, changes, code):
    answer = await call(centre, site.headers("GET", urls.EXECUTION + CALL, **changes))
    assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize("value", ["", "Bearer", "Basic YTpi", "Bearer a.b.c", "Bearer " + "x" * 5000])
async def test_a_request_without_a_workers_token_is_told_so(centre, value):
    answer = await call(centre, {"Authorization": value})
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_changed_claim_breaks_the_signature(centre, site):
    one, other = (site.token("GET", urls.EXECUTION + path) for path in (CALL, "/variables/other"))
    forged = ".".join([*other.split(".")[:2], one.split(".")[2]])
    answer = await call(centre, {"Authorization": f"Bearer {forged}"}, path="/variables/other")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


@pytest.mark.held("a path spelled with escapes")
async def test_a_token_that_was_used_is_used_for_each_spelling_of_its_path(centre, site):
    headers = site.headers("GET", urls.EXECUTION + CALL)
    assert (await call(centre, headers)).status_code == 400
    again = await call(centre, headers, path="/variables/%6e%6Fne")
    assert (again.status_code, again.json()["code"]) == (401, "replayed")


@pytest.mark.held("a token in the query")
@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "_token"])
async def test_a_token_in_the_query_is_none(centre, site, name):
    nothing = (await call(centre, {})).json()["detail"]
    answer = await call(centre, {}, path=f"{CALL}?{name}={site.token('GET', urls.EXECUTION + CALL)}")
    assert (answer.status_code, answer.json()["detail"]) == (401, nothing)
