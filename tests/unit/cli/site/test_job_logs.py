from __future__ import annotations

from pathlib import Path

import pytest

from airflow_edge.agent.task_logs.kept import About
from airflow_edge.cli.site.job_logs import JobLog, UnknownJobError, find


def job(number: int, *, changed_at: float = 0.0, **facts) -> JobLog:
    name = f"{number:08x}-0000-4000-8000-000000000000.1"
    about = About(**{"dag_id": "dag", "run_id": "run", "task_id": "task", **facts})
    return JobLog(id=name, folder=Path(name), about=about, state="kept", size=0, changed_at=changed_at)


JOBS = [job(1, dag_id="a"), job(2, dag_id="b"), job(0xAB, dag_id="b", task_id="other")]


@pytest.mark.parametrize("wanted", [JOBS[0].id, JOBS[0].id[:-2], "00000001", "a/run/task", "a", "a/*/t*", "a/run"])
def test_a_log_is_found_by_id_beginning_or_name(wanted: str) -> None:
    assert find(JOBS, wanted) is JOBS[0]


def test_of_several_tries_the_newest_is_meant() -> None:
    first, second, again = job(1), job(2, try_number=2), job(3, try_number=2, changed_at=5.0)
    assert find([second, again, first], "dag/run/task") is again


@pytest.mark.parametrize("wanted", ["b", "000000", "*"])
def test_of_several_jobs_none_is_guessed(wanted: str) -> None:
    with pytest.raises(UnknownJobError, match=r"say more of its id: .*b/run/other"):
        find(JOBS, wanted)


def test_jobs_without_a_name_are_not_taken_for_one_another() -> None:
    nameless = [job(number, dag_id="", run_id="", task_id="", kind="callback") for number in (1, 2)]
    with pytest.raises(UnknownJobError, match="one of 2 jobs"):
        find(nameless, "callback")
    assert find(nameless[:1], "callback") is nameless[0]


@pytest.mark.parametrize("wanted", ["c", "a/run/none", "../a", "", "[", "\0"])
def test_what_is_not_there_is_told(wanted: str) -> None:
    with pytest.raises(UnknownJobError, match="airflow-edge logs" if wanted else "say more"):
        find(JOBS, wanted)
