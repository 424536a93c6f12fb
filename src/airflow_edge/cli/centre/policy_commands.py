"""The commands of `airflow edge policy`. Every `airflow` command reads this, so it imports next to nothing."""

from __future__ import annotations

from typing import Final

from airflow.cli.cli_config import ARG_OUTPUT

from airflow_edge.cli.centre.describing import arg, command, comment, days, positive

_DAYS = arg("--days", help="Of so many last days, today (UTC) among them. Default: 7", type=days, default="7")

POLICY_COMMANDS: Final = (
    command(
        "show",
        "Print the policy that is in force, as it was given, or another version of it",
        "policy.show_policy",
        arg("--version", dest="number", metavar="NUMBER", type=positive, help="This version of it"),
        arg("--versions", action="store_true", help="List who has set which version, when, and why, instead"),
        arg("--uses", action="store_true", help="List what tasks have asked for, instead"),
        arg("--days", help="With --uses: of so many last days, today (UTC) among them. Default: 7", type=days),
        arg("--denied", action="store_true", help="With --uses: only what was denied, or would have been"),
        ARG_OUTPUT,
        description=(
            "Print the policy that is in force, as it was given: what tasks may ask of the centre. Where it comes "
            "from, and what is wrong with it, is said beside it."
        ),
        example="$ airflow edge policy show > policy.yaml",
    ),
    command(
        "set",
        "Put a policy in force, at every API server within seconds",
        "policy.set_policy",
        arg("file", metavar="FILE", help="A file with it, as JSON, TOML or YAML; - for standard input"),
        arg("-n", "--note", help="Why: people see it beside the version", type=comment),
        arg(
            "--after",
            metavar="NUMBER",
            type=positive,
            help="The version that it was made from: it is refused if another one is in force by now",
        ),
        arg("--dry-run", action="store_true", help="Only say whether it could be set"),
        example="""
$ airflow edge policy set policy.yaml --note 'what the press reads'
Version 4 of the policy is in force: 12 rules.
plc: report → enforce
""",
    ),
    command(
        "test",
        "Say whether a task may have something, and which rule grants it",
        "policy.ask_about_policy",
        arg("grant", metavar="GRANT", help="What it is about: connections, variables, set_variables, xcoms, trigger …"),
        arg("name", metavar="NAME", help="The name of what it asks for; of Dags also @upstream, @run or @dag"),
        arg("--dag-id", metavar="DAG", help="The task's Dag", required=True),
        arg("--task-id", metavar="TASK", help="The task. Default: none, a callback of the Dag", default=""),
        arg("-q", "--queue", help="The task's queue. Default: [operators] default_queue"),
        arg("-t", "--team", help="The task's team ([core] multi_team)"),
        arg("--worker", help="The worker's name", default=""),
        description=(
            "Say whether a task may have something, and which rule grants it. The exit status is 0 if it gets it, "
            "because a rule grants it or nothing is denied on its queue."
        ),
        example="""
$ airflow edge policy test connections plc_7 \\
    --dag-id press --task-id read --queue plc
""",
    ),
    command(
        "suggest",
        "Print the least policy that grants what tasks have asked for",
        "policy.suggest_policy",
        _DAYS,
        arg(
            "--with-denied",
            action="store_true",
            help="Grant also what was denied, or is on queues whose mode is `enforce`",
        ),
        description=(
            "Print the least policy, as YAML, that grants what tasks have asked for on queues whose mode is `report`, "
            "granted or not, and what they were given on queues whose mode is `enforce`. What was denied is left out, "
            "whatever the mode is by now. Read it before it is set."
        ),
        example="$ airflow edge policy suggest --days 14 > policy.yaml",
    ),
)
