"""Each as curl and Go read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.agent.net.no_proxy import is_exempt


@pytest.mark.parametrize(
    ("host", "exceptions"),
    [
        ("centre.test", "centre.test"),
        ("centre.test", "CENTRE.TEST"),
        ("centre.test", "centre.test."),
        ("centre.test.", "centre.test"),
        ("edge.centre.test", "centre.test"),
        ("edge.centre.test", ".centre.test"),
        ("edge.centre.test", "*.centre.test"),
        ("edge.centre.test", "edge.centre.test."),
        ("centre.test", "*"),
        ("centre.test", "other, *"),
        ("centre.test", "a b\tcentre.test"),
        ("centre.test", "centre.test:8443"),
        ("centre.test", "http://centre.test/"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.1.2.3", "192.168.0.0/16,10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3:8443"),
        ("10.1.2.3", "10.1.2.9/24"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("::1", "::1"),
        ("::1", "[::1]"),
        ("::1", "[::1]:8443"),
        ("fd00::7", "fd00::/8"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
    ],
)
def test_it_is_reached_directly(host, exceptions):
    assert is_exempt(host, 8443, exceptions)


@pytest.mark.parametrize(
    ("host", "exceptions"),
    [
        ("centre.test", ""),
        ("centre.test", " , "),
        ("centre.test", "other.test"),
        ("notcentre.test", "centre.test"),
        ("centre.test", "edge.centre.test"),
        ("centre.test", "centre.test:443"),
        ("centre.test", "10.0.0.0/8"),
        ("centre.test", "."),
        ("10.1.2.3", "11.0.0.0/8"),
        ("10.1.2.3", "1.2.3"),
        ("10.1.2.3", "10.1.2.3/x"),
        ("::1", "[::1]:443"),
        ("::1", "127.0.0.0/8"),
    ],
)
def test_it_goes_through_the_proxy(host, exceptions):
    assert not is_exempt(host, 8443, exceptions)


@given(st.text(), st.text())
def test_nothing_that_somebody_sets_is_an_error(host, exceptions):
    is_exempt(host, 443, exceptions)
