"""Templates and params, and what a task may read of the centre: Variables and Connections."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import Connection, Variable, dag, task


def doubled(n: str) -> int:
    return int(n) * 2


@dag(schedule=None, params={"greeting": "hello", "n": 21}, user_defined_macros={"planet": "earth"})
def templates() -> None:
    BashOperator(
        task_id="rendered",
        bash_command="echo '{{ params.greeting }} {{ planet }} {{ dag.dag_id }}.{{ ti.task_id }} {{ var.value.city }}"
        " {{ conn.warehouse.host }}'",
    )
    PythonOperator(task_id="arguments", python_callable=doubled, op_kwargs={"n": "{{ params.n }}"})

    @task
    def variables() -> list[Any]:
        before = Variable.get("city")
        config = Variable.get("config", deserialize_json=True)
        Variable.set("written_by_task", "yes")
        missing = Variable.get("no_such_variable", default="fallback")
        return [before, config, Variable.get("written_by_task"), missing]

    @task
    def connection() -> list[Any]:
        found = Connection.get("warehouse")
        return [found.conn_type, found.host, found.port, found.login, len(found.password or ""), found.extra_dejson]

    variables()
    connection()


templates()
