from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.protocol.states import JobState, WorkerState
from airflow_edge.store.store import Store
from airflow_edge.store.workers.enrollment import EnrollmentRefusedError
from tests.contract.world import NOW, accepted, capacity, claim, facts, new_job, queue, row, state, token

HASH, OTHER_HASH = "a" * 64, "b" * 64
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


def test_a_token_opens_its_own_queues_and_is_used_up(store: Store) -> None:
    store.enroll_tokens.create(token(team_name="team"), HASH)
    worker = store.enroll_tokens.enroll(HASH, "näme", KEY, now=NOW)
    assert (worker.name, worker.public_key, worker.queues, worker.team_name) == (
        "näme",
        KEY,
        ("default", "größe"),
        "team",
    )
    assert (worker.state, worker.enrolled_at, worker.revoked_at) == (WorkerState.OFFLINE, NOW, None)
    assert store.workers.get(worker.id) == worker
    with pytest.raises(EnrollmentRefusedError) as refused:
        store.enroll_tokens.enroll(HASH, "other", OTHER_KEY, now=NOW)
    assert refused.value.code == "enrollment_refused"
    assert "used up" in str(refused.value)


def test_the_same_key_and_name_again_is_the_same_worker(store: Store) -> None:
    store.enroll_tokens.create(token(), HASH)
    first = store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    late = NOW + timedelta(days=9)
    assert store.enroll_tokens.enroll(HASH, "name", KEY, now=late) == first
    assert store.enroll_tokens.all()[0].uses_left == 0


def test_a_new_token_gives_a_known_worker_its_queues(store: Store) -> None:
    store.enroll_tokens.create(token(), HASH)
    store.enroll_tokens.create(token(queues=("gpu",)), "b" * 64)
    first = store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    again = store.enroll_tokens.enroll("b" * 64, "name", KEY, now=NOW)
    assert (again.id, again.queues) == (first.id, ("gpu",))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"expires_at": NOW}, "expired"),
        ({"uses_left": 0}, "used up"),
        ({"revoked_at": NOW}, "revoked"),
        ({"name_pattern": "factory-*"}, "--name"),
    ],
)
def test_a_token_that_does_not_count_says_why(store: Store, fields: dict[str, object], word: str) -> None:
    store.enroll_tokens.create(token(**fields), HASH)
    with pytest.raises(EnrollmentRefusedError) as refused:
        store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    assert refused.value.code == "enrollment_refused"
    assert word in str(refused.value)
    assert store.workers.all() == []


def test_an_unknown_token_opens_nothing(store: Store) -> None:
    with pytest.raises(EnrollmentRefusedError) as refused:
        store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    assert refused.value.code == "enrollment_refused"


def test_a_name_pattern_is_a_glob(store: Store) -> None:
    store.enroll_tokens.create(token(name_pattern="factory-?"), HASH)
    assert store.enroll_tokens.enroll(HASH, "factory-7", KEY, now=NOW).name == "factory-7"


def test_tokens_are_listed_and_revoked(store: Store) -> None:
    old, new = token(), token(created_at=NOW + timedelta(seconds=1))
    store.enroll_tokens.create(old, HASH)
    store.enroll_tokens.create(new, "b" * 64)
    assert store.enroll_tokens.all() == [new, old]
    assert store.enroll_tokens.revoke(old.id, now=NOW)
    assert store.enroll_tokens.revoke(old.id, now=NOW + timedelta(seconds=9))
    assert [one.revoked_at for one in store.enroll_tokens.all()] == [None, NOW]
    assert not store.enroll_tokens.revoke(uuid4(), now=NOW)


@pytest.mark.attack(5)
def test_a_name_that_is_taken_is_free_again_when_its_worker_is_revoked(store: Store) -> None:
    store.enroll_tokens.create(token(uses_left=5), HASH)
    store.enroll_tokens.create(token(uses_left=5), OTHER_HASH)
    first = store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    with pytest.raises(EnrollmentRefusedError) as taken:
        store.enroll_tokens.enroll(OTHER_HASH, "name", OTHER_KEY, now=NOW)
    assert taken.value.code == "name_taken"
    assert "airflow edge revoke-worker name" in str(taken.value)
    store.workers.link({first.id: facts()}, now=NOW)
    assert store.workers.revoke("name", now=NOW)
    with pytest.raises(EnrollmentRefusedError) as refused:
        store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    assert refused.value.code == "revoked"
    later = NOW + timedelta(seconds=5)
    second = store.enroll_tokens.enroll(OTHER_HASH, "name", OTHER_KEY, now=later)
    assert (second.public_key, second.revoked_at, second.link_id, second.enrolled_at) == (OTHER_KEY, None, None, later)
    assert store.workers.changed_since(later) == {second.id: later}
    former = store.workers.get(first.id)
    assert former is not None
    assert former.name == f"name (revoked, {first.id.hex[:8]})"
    assert former.public_key == KEY
    assert [each.uses_left for each in store.enroll_tokens.all()] == [4, 4]
    assert not store.workers.revoke("nobody", now=NOW)


@pytest.mark.attack(5)
def test_nobody_comes_back_as_who_was_revoked_by_the_token_that_one_came_with(store: Store) -> None:
    shared = token(uses_left=5)
    store.enroll_tokens.create(shared, HASH)
    store.enroll_tokens.enroll(HASH, "name", KEY, now=NOW)
    store.workers.revoke("name", now=NOW)
    for when in (NOW, NOW + timedelta(minutes=30)):
        with pytest.raises(EnrollmentRefusedError) as refused:
            store.enroll_tokens.enroll(HASH, "name", OTHER_KEY, now=when)
        assert (refused.value.code, refused.value.token_id) == ("enrollment_refused", shared.id)
        assert "airflow edge enroll-token create" in str(refused.value)
    # The machines beside it go on enrolling.
    assert store.enroll_tokens.enroll(HASH, "other", OTHER_KEY, now=NOW).name == "other"
    assert store.enroll_tokens.all()[0].uses_left == 3


def test_the_jobs_of_a_revoked_worker_are_not_waited_for(store: Store, sessions: sessionmaker[Session]) -> None:
    worker = store.enroll_tokens.enroll_trusted("name", KEY, ["default"], now=NOW)
    queue(sessions, new_job(), new_job())
    leased, running = claim(store, capacity(worker.id, free_slots=2))
    store.jobs.settle(worker.id, [accepted(running)], now=NOW)
    store.workers.revoke("name", now=NOW)
    assert [state(sessions, job.id) for job in (leased, running)] == [JobState.QUEUED, JobState.LOST]
    assert "revoked" in row(sessions, running.id).reason
    assert store.jobs.confirm(worker.id, running.id, 1, now=NOW) is None


def test_who_knows_the_shared_secret_names_its_queues(store: Store) -> None:
    with pytest.raises(EnrollmentRefusedError) as refused:
        store.enroll_tokens.enroll_trusted("name", KEY, [], now=NOW)
    assert refused.value.code == "no_queues"
    worker = store.enroll_tokens.enroll_trusted("name", KEY, ["a", "b"], now=NOW)
    assert worker.queues == ("a", "b")
    with pytest.raises(EnrollmentRefusedError) as refused:
        store.enroll_tokens.enroll_trusted("name", OTHER_KEY, ["a"], now=NOW)
    assert refused.value.code == "name_taken"


@pytest.mark.held("a token used by many at once")
def test_many_at_once_use_a_token_no_more_often_than_it_may_be(store: Store) -> None:
    store.enroll_tokens.create(token(uses_left=3), HASH)

    def enroll(number: int) -> bool:
        try:
            store.enroll_tokens.enroll(HASH, f"worker-{number}", bytes([number]) * 32, now=NOW)
        except EnrollmentRefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(enroll, range(8))) == 3
    assert len(store.workers.all()) == 3


@pytest.mark.held("one name wanted by many keys at once")
def test_many_at_once_that_want_one_name_get_it_once(store: Store) -> None:
    def enroll(number: int) -> str:
        try:
            store.enroll_tokens.enroll_trusted("name", bytes([number]) * 32, ["a"], now=NOW)
        except EnrollmentRefusedError as refusal:
            return refusal.code
        return ""

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(enroll, range(8))) == [""] + ["name_taken"] * 7


def test_a_worker_keeps_its_grace_until_a_token_or_a_new_key_says_otherwise(store: Store) -> None:
    hours = timedelta(hours=1)
    for number, grace in enumerate((12 * hours, None, 2 * hours, None)):
        store.enroll_tokens.create(token(disconnect_grace=grace), str(number) * 64)
    assert {listed.disconnect_grace for listed in store.enroll_tokens.all()} == {12 * hours, 2 * hours, None}

    def enrol(number: int, key: bytes = KEY) -> timedelta | None:
        worker = store.enroll_tokens.enroll(str(number) * 64, "name", key, now=NOW)
        return worker.disconnect_grace

    assert enrol(0) == 12 * hours
    assert enrol(1) == 12 * hours
    assert enrol(2) == 2 * hours
    store.workers.revoke("name", now=NOW)
    assert enrol(3, OTHER_KEY) is None


def test_tokens_that_have_been_over_for_long_are_forgotten(store: Store) -> None:
    far, later = NOW + timedelta(days=99), NOW + timedelta(seconds=1)
    expired, revoked, good = token(expires_at=NOW), token(expires_at=far, revoked_at=NOW), token(expires_at=far)
    for number, each in enumerate((expired, revoked, good)):
        store.enroll_tokens.create(each, str(number) * 64)
    assert store.enroll_tokens.purge(before=NOW, limit=9) == 0
    assert [store.enroll_tokens.purge(before=later, limit=1) for _ in range(3)] == [1, 1, 0]
    assert [each.id for each in store.enroll_tokens.all()] == [good.id]
