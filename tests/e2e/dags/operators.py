"""The operators and decorators people use most."""

from __future__ import annotations

import sys

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import dag, task


def add(a: int, b: int) -> int:
    return a + b


@dag(schedule=None)
def operators() -> None:
    BashOperator(task_id="bash", bash_command="echo first; echo the last line of $AIRFLOW_CTX_TASK_ID")
    PythonOperator(task_id="python", python_callable=add, op_args=[40], op_kwargs={"b": 2})

    @task
    def decorated(word: str) -> str:
        return word.upper()

    @task.bash
    def decorated_bash(n: int) -> str:
        return f"echo $(({n} * 7))"

    @task.virtualenv(system_site_packages=False)
    def virtualenv(outside: str) -> bool:
        import sys

        return sys.prefix not in (outside, sys.base_prefix)

    @task.branch
    def branch() -> str:
        return "taken"

    @task
    def taken() -> None: ...

    @task
    def not_taken() -> None: ...

    @task.short_circuit
    def short_circuit() -> bool:
        return False

    @task
    def cut_off() -> None: ...

    decorated("loud")
    decorated_bash(6)
    virtualenv(sys.prefix)
    branch() >> [taken(), not_taken()]
    short_circuit() >> cut_off()


operators()
