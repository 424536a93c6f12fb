from __future__ import annotations

import socket

from airflow_edge.runtime import hostname


def test_it_is_the_workers_name(monkeypatch):
    monkeypatch.setenv(hostname.WORKER_NAME_VARIABLE, "press-7")
    assert hostname.get() == "press-7"


def test_without_a_name_it_is_the_hosts(monkeypatch):
    monkeypatch.delenv(hostname.WORKER_NAME_VARIABLE, raising=False)
    assert hostname.get() == socket.getfqdn()
