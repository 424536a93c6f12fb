from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from airflow_edge.rules.processes import ALIVE_FOR, CentreProcess, at_the_centre

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def process(kind="gateway", *, seen=timedelta(0), ended=False) -> CentreProcess:
    return CentreProcess(
        id=uuid4(),
        kind=kind,
        host="vm",
        pid=1,
        version="1",
        executors="",
        started_at=NOW - timedelta(days=1),
        seen_at=NOW - seen,
        ended_at=NOW - seen if ended else None,
    )


def test_only_those_count_that_were_there_lately_and_have_not_ended():
    there, ended = process(), process(ended=True)
    gone = process(seen=ALIVE_FOR + timedelta(seconds=1))
    ahead = process(seen=-timedelta(seconds=30))
    facts = at_the_centre([there, ended, gone, ahead], NOW)
    assert set(facts.gateways) == {there, ahead}
    assert facts.gateway_seen_at == ahead.seen_at
    assert (facts.schedulers, facts.scheduler_seen_at) == ((), None)
