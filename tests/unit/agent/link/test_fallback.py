from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import (
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidUpgrade,
)
from websockets.http11 import Response

from airflow_edge.agent.errors import ForeignAnswerError
from airflow_edge.agent.link.fallback import FIRST_PAUSE, LONGEST_PAUSE, SEVERAL, Fallback, Suspicion
from airflow_edge.agent.link.websocket import refused, suspicion_of
from airflow_edge.protocol.problems import Code, Problem
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import MARK_HEADER

HTTPS = "https://centre/edge_worker"
TOKEN = "a-token"
HTTP = "http://centre/edge_worker"


def answer(status, body=b"<html>no</html>"):
    return Response(status, "", Headers(), body)


def marked(status, body):
    return Response(status, "", Headers({MARK_HEADER: answer_mark(TOKEN, status, body)}), body)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 426, 500, 501])
def test_a_strangers_refusal_of_the_upgrade_means_that_websockets_are_blocked(status):
    assert refused(answer(status), TOKEN, HTTPS).suspicion is Suspicion.CERTAIN


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_a_proxy_says_when_nobody_is_behind_it_may_mean_either(status):
    assert refused(answer(status), TOKEN, HTTPS).suspicion is Suspicion.SOME


@pytest.mark.parametrize("status", [400, 401, 403, 503])
def test_the_gateways_own_refusal_got_through(status):
    body = msgspec.json.encode(Problem(status=status, code=Code.REVOKED, detail="no"))
    assert refused(marked(status, body), TOKEN, HTTPS).suspicion is Suspicion.NONE


def test_a_request_that_reached_the_gateway_without_its_upgrade_means_that_websockets_are_blocked():
    body = msgspec.json.encode(Problem(status=426, code=Code.MALFORMED, detail="this speaks WebSocket only"))
    assert refused(marked(426, body), TOKEN, HTTPS).suspicion is Suspicion.CERTAIN


def test_the_gateways_words_without_its_mark_are_a_strangers():
    body = msgspec.json.encode(Problem(status=403, code=Code.REVOKED, detail="no"))
    failure = refused(answer(403, body), TOKEN, HTTPS)
    assert failure.suspicion is Suspicion.CERTAIN
    assert isinstance(failure.error, ForeignAnswerError)


@pytest.mark.parametrize(
    ("error", "suspicion"),
    [
        (TimeoutError(), Suspicion.SOME),
        (ConnectionResetError(), Suspicion.SOME),
        (InvalidMessage("did not receive a valid HTTP response"), Suspicion.SOME),
        (InvalidUpgrade("Upgrade", None), Suspicion.CERTAIN),
        (ConnectionRefusedError(), Suspicion.NONE),
        (OSError("no route to host"), Suspicion.NONE),
        (InvalidProxyMessage("no answer"), Suspicion.NONE),
        (InvalidProxyStatus(answer(403)), Suspicion.NONE),
    ],
    ids=repr,
)
def test_other_failures_are_weighed(error, suspicion):
    assert suspicion_of(error, HTTPS) is suspicion


def test_a_proxy_that_wants_a_login_says_nothing_of_websockets():
    assert refused(answer(407), TOKEN, HTTPS).suspicion is Suspicion.NONE


def test_a_proxy_that_makes_no_tunnel_for_plain_http_may_still_pass_it_on():
    assert suspicion_of(InvalidProxyStatus(answer(403)), HTTP) is Suspicion.CERTAIN
    assert suspicion_of(InvalidProxyStatus(answer(407)), HTTP) is Suspicion.NONE


def test_it_begins_with_the_websocket():
    assert not Fallback().polling


def test_one_certain_failure_is_enough():
    fallback = Fallback()
    fallback.websocket_failed(Suspicion.CERTAIN, "405")
    assert fallback.polling
    assert fallback.reason == "405"


def test_uncertain_failures_have_to_be_several():
    fallback = Fallback()
    for _ in range(SEVERAL - 1):
        fallback.websocket_failed(Suspicion.SOME, "cut")
        assert not fallback.polling
    fallback.websocket_failed(Suspicion.SOME, "cut")
    assert fallback.polling


def test_a_websocket_that_lasts_clears_the_suspicion():
    fallback = Fallback()
    fallback.websocket_failed(Suspicion.SOME, "cut")
    fallback.websocket_lasted()
    for _ in range(SEVERAL - 1):
        fallback.websocket_failed(Suspicion.SOME, "cut")
    assert not fallback.polling


def test_a_centre_that_is_away_blocks_nothing():
    fallback = Fallback()
    for _ in range(100):
        fallback.websocket_failed(Suspicion.NONE, "connection refused")
    assert not fallback.polling


def test_where_polling_fails_too_both_have_their_turn():
    fallback = Fallback()
    turns = []
    for _ in range(4):
        fallback.websocket_failed(Suspicion.CERTAIN, "405")
        turns.append(fallback.polling)
        fallback.polling_failed()
        turns.append(fallback.polling)
    assert turns == [True, False] * 4


def test_a_websocket_that_opens_again_but_does_not_last_leads_straight_back():
    fallback = Fallback()
    fallback.websocket_failed(Suspicion.CERTAIN, "405")
    fallback.websocket_opened()
    assert not fallback.polling
    fallback.websocket_failed(Suspicion.SOME, "cut")
    assert fallback.polling


@given(st.integers(1, 100))
def test_the_websocket_is_tried_again_every_few_minutes_for_ever(times):
    fallback = Fallback()
    pauses = [fallback.next_pause() for _ in range(times)]
    assert min(pauses) >= FIRST_PAUSE / 2
    assert max(pauses) <= LONGEST_PAUSE
