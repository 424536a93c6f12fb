from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.worker import (
    MOST_OTHERS,
    TRIES_AGAIN,
    Admission,
    Holder,
    OtherInstance,
    describe_others,
    judge_instance,
    read_others,
    refusal_of_other,
    trying,
    with_other,
)

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
IDS = [UUID(int=number) for number in range(1, 4)]
some_id = st.sampled_from(IDS)
perhaps = st.none() | some_id
holders = st.builds(Holder, link_id=perhaps, instance=perhaps, life=perhaps, gone=st.booleans())


@given(holders, some_id, some_id, st.sampled_from(["", *map(str, IDS)]), perhaps)
def test_another_instance_enters_only_when_the_first_has_gone(
    holder: Holder, instance: UUID, life: UUID, last_link: str, dead_link: UUID | None
) -> None:
    verdict = judge_instance(holder, instance=instance, life=life, last_link=last_link, dead_link=dead_link)
    itself = life == holder.life and last_link == str(holder.link_id)
    can_be_told = holder.link_id is not None and holder.life is not None and not holder.gone
    if can_be_told and not itself and holder.instance not in {None, instance}:
        assert verdict is Admission.REFUSE
    if itself or not can_be_told:
        assert verdict is Admission.ENTER


@given(holders, perhaps, perhaps, st.sampled_from(["", *map(str, IDS)]))
def test_whoever_was_asked_and_did_not_answer_is_not_asked_again(
    holder: Holder, instance: UUID | None, life: UUID | None, last_link: str
) -> None:
    verdict = judge_instance(holder, instance=instance, life=life, last_link=last_link, dead_link=holder.link_id)
    assert verdict is not Admission.ASK


def test_a_restart_is_let_in_when_the_link_before_is_dead_and_an_old_copy_waits() -> None:
    holder = Holder(link_id=IDS[0], instance=IDS[1], life=IDS[2])
    asked = {"instance": IDS[1], "life": uuid4()}
    assert judge_instance(holder, **asked, last_link=str(IDS[0])) is Admission.ASK
    assert judge_instance(holder, **asked, last_link=str(IDS[0]), dead_link=IDS[0]) is Admission.ENTER
    assert judge_instance(holder, **asked, last_link=str(IDS[1]), dead_link=IDS[0]) is Admission.REFUSE
    # The same process may not have heard its last welcome.
    assert judge_instance(holder, instance=IDS[1], life=IDS[2], dead_link=IDS[0]) is Admission.ENTER


def test_workers_that_are_too_old_to_say_who_they_are_come_and_go_as_they_did() -> None:
    old = Holder(link_id=IDS[0])
    assert judge_instance(old, instance=None, life=None) is Admission.ENTER
    assert judge_instance(old, instance=IDS[0], life=IDS[1]) is Admission.ENTER
    new = Holder(link_id=IDS[0], instance=IDS[1], life=IDS[2])
    assert judge_instance(new, instance=None, life=None) is Admission.ASK
    assert judge_instance(new, instance=None, life=None, dead_link=IDS[0]) is Admission.ENTER


def other(number: int, at: datetime = NOW) -> OtherInstance:
    return OtherInstance(instance=str(number), host_name=f"pi-{number}", address="10.0.0.7", last_tried_at=at)


def test_those_who_try_are_remembered_once_each_and_not_without_end() -> None:
    stored: list[dict[str, object]] = []
    for number in range(MOST_OTHERS + 3):
        stored = with_other(stored, other(number))
    stored = with_other(stored, other(10, NOW + timedelta(seconds=1)))
    others = read_others(stored)
    assert (len(others), others[-1], len({one.instance for one in others})) == (
        MOST_OTHERS,
        other(10, NOW + timedelta(seconds=1)),
        MOST_OTHERS,
    )


def test_those_who_have_stopped_trying_are_not_spoken_of() -> None:
    others = [other(1), other(2, NOW + timedelta(seconds=30))]
    assert trying(others, NOW + timedelta(seconds=31)) == [others[1], others[0]]
    assert trying(others, NOW + TRIES_AGAIN + timedelta(seconds=1)) == [others[1]]
    assert describe_others(trying(others, NOW + timedelta(hours=1))) == ""
    assert describe_others(others[:1]).startswith(
        "another machine tries to use this worker's key, last 'pi-1' at 10.0.0.7 at 2026-05-04 12:00:00 UTC"
    )
    assert describe_others(others).startswith("2 other machines try")


def test_a_refusal_says_who_has_the_key_and_what_to_do() -> None:
    holder = Holder(link_id=IDS[0], host_name="pi-1", address="10.0.0.7", since=NOW)
    assert refusal_of_other(holder) == (
        "another machine uses this worker's key since 2026-05-04 12:00:00 UTC: 'pi-1' at 10.0.0.7; a key is for one "
        "machine: enrol this one by itself (airflow-edge enroll URL TOKEN --force), or end the worker there"
    )
    assert "an unknown machine" in refusal_of_other(Holder(link_id=IDS[0]))
