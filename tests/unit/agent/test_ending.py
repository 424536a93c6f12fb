from __future__ import annotations

import pytest

from airflow_edge.agent.ending import closing
from airflow_edge.agent.net.http import HttpClient


class Gone(HttpClient):
    """One whose library was removed with the installation."""

    def __init__(self) -> None:
        pass

    async def aclose(self) -> None:
        raise ModuleNotFoundError("anyio._core")


async def test_an_installation_that_is_gone_keeps_no_agent_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    async with closing(Gone()):
        pass
    assert "anyio._core" in caplog.text
