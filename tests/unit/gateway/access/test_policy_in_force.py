from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from airflow_edge.admin.policy_text import LONGEST
from airflow_edge.gateway.access.policy_in_force import UNREADABLE, DatabasePolicy, FilePolicy, PolicyInForce
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.store.store import Store
from airflow_edge.store.tables import Base

ENFORCED = "modes: {'*': enforce}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = create_engine(f"sqlite:///{tmp_path}/store.db")
    Base.metadata.create_all(engine)
    return Store(sessionmaker(engine, expire_on_commit=False))


@pytest.fixture
async def calls() -> AsyncIterator[StoreCalls]:
    calls = StoreCalls()
    yield calls
    calls.close()


@pytest.fixture
def in_database(store: Store, calls: StoreCalls) -> PolicyInForce:
    return PolicyInForce(DatabasePolicy(store.policies, calls))


def put(store: Store, text: str) -> None:
    store.policies.add(text, "", by="ann", now=datetime.now(UTC))


async def test_without_one_everybody_may_everything(in_database) -> None:
    assert not in_database.is_off("plc")
    assert (await in_database.policy()).mode("plc") == "off"
    assert in_database.is_off("plc")
    assert in_database.trouble() is None


async def test_the_newest_version_is_taken_over_when_it_is_looked_for(store, in_database) -> None:
    await in_database.look()
    put(store, ENFORCED)
    assert (await in_database.policy()).label == "none"
    await in_database.look()
    policy = await in_database.policy()
    assert (policy.label, policy.mode("plc"), in_database.is_off("plc")) == ("version 1", "enforce", False)
    await in_database.look()
    assert await in_database.policy() is policy


async def test_a_version_that_cannot_be_read_leaves_the_one_before_in_force(store, in_database) -> None:
    put(store, ENFORCED)
    await in_database.look()
    put(store, "rules: of a later airflow-edge")
    for _ in range(2):
        await in_database.look()
        assert "version 2: " in (in_database.trouble() or "")
        assert "what was in force before stays" in (in_database.trouble() or "")
        assert (await in_database.policy()).label == "version 1"
    put(store, "{}")
    await in_database.look()
    assert (in_database.trouble(), (await in_database.policy()).label) == (None, "version 3")


async def test_where_there_never_was_one_that_could_be_read_all_is_denied(store, in_database) -> None:
    put(store, "rules: 3")
    for _ in range(2):
        await in_database.look()
        assert await in_database.policy() is UNREADABLE
        assert "all is denied" in (in_database.trouble() or "")
    assert UNREADABLE.mode("plc") == "enforce"


async def test_a_file_is_read_again_when_it_says_something_else(tmp_path, calls) -> None:
    path = tmp_path / "policy.yaml"
    in_file = PolicyInForce(FilePolicy(path, calls))
    assert await in_file.policy() is UNREADABLE
    assert "policy.yaml cannot be read: No such file" in (in_file.trouble() or "")
    path.write_text(ENFORCED)
    await in_file.look()
    policy = await in_file.policy()
    assert policy.label.startswith("file ")
    await in_file.look()
    assert await in_file.policy() is policy
    for wrong in (b"rules: [", b"\xff", b"#" * (LONGEST + 1), b"", b"# modes: {plc: enforce}\n", b"---", b"{}"):
        path.write_bytes(wrong)
        await in_file.look()
        await in_file.look()
        assert (await in_file.policy(), "stays" in (in_file.trouble() or "")) == (policy, True)
    path.write_text(ENFORCED)
    await in_file.look()
    await in_file.look()
    assert in_file.trouble() is None


@pytest.mark.parametrize("text", ["", "# modes: {plc: enforce}", "null", "{}"])
async def test_a_file_that_says_nothing_turns_nothing_off_from_the_start(text, tmp_path, calls) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    in_file = PolicyInForce(FilePolicy(path, calls))
    assert await in_file.policy() is UNREADABLE
    assert "says nothing" in (in_file.trouble() or "")


async def test_what_is_being_written_to_a_file_is_not_in_force(tmp_path, calls) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(ENFORCED)
    in_file = PolicyInForce(FilePolicy(path, calls))
    policy = await in_file.policy()
    for part in (ENFORCED.replace("enforce", "off"), ENFORCED.replace("enforce", "report")):
        path.write_text(part)
        await in_file.look()
        assert await in_file.policy() is policy
    await in_file.look()
    assert (await in_file.policy()).mode("plc") == "report"
