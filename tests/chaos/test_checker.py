"""The checker finds what it is there to find, and does not cry wolf."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.checker import Kind, check, killed
from tests.chaos.evidence import Assignment, Entry, Evidence, FullDisk, Job, Kill, Leftover, Log, TaskTry, Try
from tests.chaos.reading import read_ledger

TRY = Try("chaos", "run-1", "work", 3, 1)
SECOND = TRY._replace(number=2)
ASSIGNMENT = Assignment("the-job", 1)


def entry(what, time, of=TRY, worker="a"):
    return Entry(of, what, worker, time, pid=100)


def job(of=TRY, state="succeeded", worker="a", started=99.5, ended=105.5, assignment=ASSIGNMENT, **fields):
    return Job(of, assignment, state, worker, started=started, ended=ended, **fields)


def kill(*assignments, worker="a", time=102.0):
    return Kill(worker, time, frozenset(assignments))


GOOD = Evidence(
    entries=(entry("start", 100.0), entry("end", 105.0)),
    tries=(TaskTry(TRY, "success"),),
    jobs=(job(),),
    runs={"run-1": "success"},
    logs=(Log(TRY, (0, 1, 2), 3),),
)

KILLED_AND_TRIED_AGAIN = Evidence(
    entries=(entry("start", 100.0), entry("start", 110.0, SECOND), entry("end", 115.0, SECOND)),
    tries=(TaskTry(TRY, "failed", latest=False), TaskTry(SECOND, "success")),
    jobs=(
        job(state="failed", ended=103.0),
        job(SECOND, started=109.5, ended=115.5, assignment=Assignment("the-next-job", 1)),
    ),
    runs={"run-1": "success"},
    kills=(kill(ASSIGNMENT),),
)


def kinds(evidence):
    return [finding.kind for finding in check(evidence)]


def the_finding(evidence, kind, words):
    (finding,) = check(evidence)
    assert finding.kind is kind
    assert words in str(finding)


def test_all_is_well():
    assert check(GOOD) == []
    assert check(Evidence()) == []


def test_a_task_that_was_killed_on_purpose_and_tried_again_is_well():
    assert check(KILLED_AND_TRIED_AGAIN) == []
    assert killed(KILLED_AND_TRIED_AGAIN) == 1
    assert killed(GOOD) == 0


@pytest.mark.parametrize("kept", [(), (entry("start", 100.0),), (entry("end", 105.0),)])
def test_lost_a_success_that_no_ledger_knows(kept):
    the_finding(replace(GOOD, entries=kept), Kind.LOST, "without a")


def test_lost_a_task_that_airflow_does_not_know():
    the_finding(replace(GOOD, tries=()), Kind.LOST, "Airflow does not know of it")


def test_lost_a_success_that_airflow_took_for_a_failure():
    evidence = replace(KILLED_AND_TRIED_AGAIN, entries=(*KILLED_AND_TRIED_AGAIN.entries, entry("end", 102.5)), kills=())
    the_finding(evidence, Kind.LOST, "succeeded at its site, and is failed to Airflow")


def test_lost_a_task_that_died_and_nobody_killed():
    the_finding(replace(KILLED_AND_TRIED_AGAIN, kills=()), Kind.LOST, "though nobody killed it")


@pytest.mark.parametrize(
    "killed",
    [Assignment("another-job", 1), ASSIGNMENT._replace(number=2)],
    ids=["of another job", "of another assignment"],
)
def test_only_the_death_of_its_own_process_explains_that_of_a_try(killed):
    the_finding(replace(KILLED_AND_TRIED_AGAIN, kills=(kill(killed),)), Kind.LOST, "though nobody killed it")


def test_a_kill_at_its_site_that_did_not_concern_it_explains_nothing():
    # A runtime's death, for example: tasks outlive it.
    the_finding(replace(KILLED_AND_TRIED_AGAIN, kills=(kill(),)), Kind.LOST, "though nobody killed it")


def test_what_happened_to_an_earlier_assignment_explains_nothing():
    jobs = (job(state="failed", ended=103.0, assignment=ASSIGNMENT._replace(number=2)), KILLED_AND_TRIED_AGAIN.jobs[1])
    the_finding(replace(KILLED_AND_TRIED_AGAIN, jobs=jobs), Kind.LOST, "though nobody killed it")


def test_lost_a_try_that_failed_before_it_began():
    entries = KILLED_AND_TRIED_AGAIN.entries[1:]
    assert check(replace(KILLED_AND_TRIED_AGAIN, entries=entries)) == []
    the_finding(replace(KILLED_AND_TRIED_AGAIN, entries=entries, kills=()), Kind.LOST, "before it began")


def test_lost_a_task_that_was_skipped():
    evidence = replace(GOOD, entries=(), tries=(TaskTry(TRY, "skipped"),), jobs=(job(state="failed"),), logs=())
    the_finding(evidence, Kind.LOST, "skipped before it began")


def test_lost_a_task_that_was_given_up():
    evidence = replace(GOOD, tries=(TaskTry(TRY, "failed"),), kills=(kill(ASSIGNMENT),), logs=())
    the_finding(evidence, Kind.LOST, "given up")


def test_lost_a_task_that_was_never_queued():
    never = TaskTry(TRY._replace(map_index=4, number=0), None)
    the_finding(replace(GOOD, tries=(*GOOD.tries, never)), Kind.LOST, "never queued")


def test_lost_a_run_that_airflow_had_begun():
    assert check(replace(GOOD, asked_for=("run-1",))) == []
    the_finding(replace(GOOD, asked_for=("run-1", "run-2")), Kind.LOST, "run-2: Airflow has begun this Dag run")


def test_lost_a_try_that_our_table_does_not_know():
    the_finding(replace(GOOD, jobs=()), Kind.LOST, "no job of it")


@pytest.mark.parametrize("state", ["failed", "lost", "cancelled"])
def test_lost_a_success_that_our_table_takes_for_something_else(state):
    evidence = replace(GOOD, jobs=(job(state=state),))
    the_finding(evidence, Kind.LOST, f"a success to Airflow, and {state} in our table")
    assert check(replace(evidence, kills=(kill(ASSIGNMENT),))) == []


def test_doubled_two_jobs_of_one_try():
    the_finding(replace(GOOD, jobs=(*GOOD.jobs, *GOOD.jobs)), Kind.DOUBLED, "2 of our jobs")


def test_a_try_that_was_queued_again_has_two_jobs():
    assert check(replace(GOOD, jobs=(job(state="cancelled", started=None), *GOOD.jobs))) == []


def test_doubled_the_same_try_at_two_sites():
    evidence = replace(GOOD, entries=(*GOOD.entries, entry("start", 101.0, worker="b")))
    the_finding(evidence, Kind.DOUBLED, "started 2 times: a at 100.0 (pid 100), b at 101.0")


def test_doubled_two_tries_at_work_at_once():
    evidence = replace(KILLED_AND_TRIED_AGAIN, entries=(*KILLED_AND_TRIED_AGAIN.entries, entry("end", 111.0)))
    the_finding(evidence, Kind.DOUBLED, "while try 1 was at work at a")


@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "up_for_retry", None])
def test_stuck_a_task_that_has_not_ended(state):
    the_finding(replace(GOOD, tries=(TaskTry(TRY, state),)), Kind.STUCK, f"still {state}")


def test_stuck_a_run_that_has_not_ended():
    the_finding(replace(GOOD, runs={"run-1": "running"}), Kind.STUCK, "the Dag run is still running")


@pytest.mark.parametrize("state", ["queued", "leased", "running"])
def test_stuck_a_job_that_has_not_ended(state):
    the_finding(replace(GOOD, jobs=(job(state=state, ended=None),)), Kind.STUCK, f"still {state} at a")


def test_stuck_a_job_that_nobody_booked():
    the_finding(replace(GOOD, jobs=(job(booked=False),)), Kind.STUCK, "no scheduler has booked it")
    assert check(replace(GOOD, jobs=(job(booked=False, owned=False),))) == []


def test_stuck_a_job_whose_stop_was_not_answered():
    the_finding(replace(GOOD, jobs=(job(to_stop=True),)), Kind.STUCK, "has not said")


def test_stuck_what_is_still_at_a_site():
    the_finding(replace(GOOD, leftovers=(Leftover("a", "process 7"),)), Kind.STUCK, "process 7")


def test_lost_a_log_that_is_not_complete():
    the_finding(replace(GOOD, jobs=(job(log_complete=False),)), Kind.LOST, "its log at the centre is not complete")
    jobs = (job(state="cancelled", started=None, log_complete=False), *GOOD.jobs)
    assert check(replace(GOOD, jobs=jobs)) == []


@pytest.mark.parametrize("lines", [(0, 2), (1, 2), (0, 1)])
def test_lost_lines_of_a_log(lines):
    the_finding(replace(GOOD, logs=(Log(TRY, lines, 3),)), Kind.LOST, "1 of 3 lines")


def test_lost_lines_of_a_log_whose_task_was_killed():
    logs = (Log(TRY, (0, 1), 3, whole=False),)
    assert check(replace(KILLED_AND_TRIED_AGAIN, logs=logs)) == []
    the_finding(replace(KILLED_AND_TRIED_AGAIN, logs=(Log(TRY, (0, 2), 4, whole=False),)), Kind.LOST, "1 of 3 lines")


def test_doubled_lines_of_a_log():
    the_finding(replace(GOOD, logs=(Log(TRY, (0, 1, 1, 2), 3),)), Kind.DOUBLED, "1 lines")


def test_lines_of_a_log_that_changed_places():
    the_finding(replace(GOOD, logs=(Log(TRY, (0, 2, 1), 3),)), Kind.LOST, "out of order")


def test_a_log_that_was_damaged_says_nothing_and_its_task_has_to_be_well_all_the_same():
    spoiled = replace(GOOD, logs=(Log(TRY, (2, 2), 3),), jobs=(job(log_complete=False),))
    assert kinds(spoiled) == [Kind.LOST, Kind.LOST, Kind.DOUBLED]
    assert check(replace(spoiled, spoiled_logs=frozenset({ASSIGNMENT}))) == []
    assert kinds(replace(spoiled, spoiled_logs=frozenset({ASSIGNMENT._replace(number=2)}))) == kinds(spoiled)
    assert kinds(replace(spoiled, spoiled_logs=frozenset({ASSIGNMENT}), tries=(TaskTry(TRY, "failed"),))) != []


@pytest.mark.parametrize(
    ("worker", "begin", "end", "excused"),
    [
        ("a", 102.0, 103.0, True),
        ("a", 90.0, 101.0, True),
        ("a", 104.0, 200.0, True),
        ("a", 90.0, 99.0, False),
        ("a", 106.0, 107.0, False),
        ("b", 102.0, 103.0, False),
    ],
)
def test_lines_may_be_missing_of_tasks_that_were_at_work_while_their_disk_was_full(worker, begin, end, excused):
    evidence = replace(GOOD, full_disks=(FullDisk(worker, begin, end),))
    assert check(evidence) == []
    assert (check(replace(evidence, logs=(Log(TRY, (0, 2), 3),))) == []) == excused
    the_finding(replace(evidence, logs=(Log(TRY, (0, 1, 1, 2), 3),)), Kind.DOUBLED, "1 lines")


@given(st.data())
def test_whatever_is_taken_away_from_good_evidence_is_missed(data):
    tasks = data.draw(st.integers(1, 6))
    tries = [TRY._replace(map_index=index) for index in range(tasks)]
    entries = [entry(what, 100.0 + index, of) for index, of in enumerate(tries) for what in ("start", "end")]
    good = Evidence(
        entries=tuple(data.draw(st.permutations(entries))),
        tries=tuple(TaskTry(of, "success") for of in tries),
        jobs=tuple(job(of) for of in tries),
        runs={"run-1": "success"},
    )
    assert check(good) == []
    gone = data.draw(st.sampled_from(entries))
    assert kinds(replace(good, entries=tuple(kept for kept in good.entries if kept != gone))) == [Kind.LOST]
    again = replace(data.draw(st.sampled_from(entries)), what="start", worker="b")
    assert kinds(replace(good, entries=(*good.entries, again))) == [Kind.DOUBLED]


def test_a_ledger_is_read_without_its_torn_last_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    line = {"of": list(TRY), "what": "start", "worker": "a", "time": 100.0, "pid": 100}
    path.write_text(json.dumps(line) + "\n" + json.dumps(line)[:20])
    assert read_ledger(path) == [entry("start", 100.0)]
    assert read_ledger(tmp_path / "none") == []
