"""The commands of `airflow edge enroll-token` and `centre-key`: by what sites and centre know each other.

Every `airflow` command reads this, so it imports next to nothing.
"""

from __future__ import annotations

from typing import Final

from airflow.cli.cli_config import ARG_OUTPUT

from airflow_edge.cli.centre.describing import arg, command, duration, grace, positive

TOKEN_COMMANDS: Final = (
    command(
        "create",
        "Create a token with which a worker can enrol, and print the command for the site",
        "tokens.create_enroll_token",
        arg("-q", "--queues", help="Comma-separated queues to serve. Default: [operators] default_queue"),
        arg("-t", "--team", help="The team whose tasks the worker runs ([core] multi_team)"),
        arg("-n", "--name-pattern", help="A glob that the worker's name has to match, like 'press-*'"),
        arg("--ttl", help="How long it can be used: 30m, 1h, 7d … Default: 1h", type=duration, default="1h"),
        arg("--uses", help="How many workers may enrol with it. Default: 1", type=positive, default=1),
        arg("--max-slots", help="How many slots each of them may have. Default: 256", type=positive),
        arg(
            "--disconnect-grace",
            help="How long the worker's jobs are waited for while it is out of reach: 90s, 30m, 12h, 2d … "
            "Default: what [edge] queue_disconnect_grace or disconnect_grace says",
            type=grace,
        ),
        arg("--api-url", help="The API server's URL as the site sees it. Default: [api] base_url"),
        arg(
            "-o", "--output", help="Output format: table (default) or json", choices=("table", "json"), default="table"
        ),
        example="""
$ airflow edge enroll-token create --queues plc,camera \\
    --name-pattern 'press-*' --uses 4 --ttl 2h
""",
    ),
    command(
        "list",
        "List the enrolment tokens (their secrets are not kept)",
        "tokens.list_enroll_tokens",
        ARG_OUTPUT,
        example="$ airflow edge enroll-token list --output yaml",
    ),
    command(
        "revoke",
        "Revoke an enrolment token; workers enrolled with it stay",
        "tokens.revoke_enroll_token",
        arg("token_id", metavar="ID", help="The token's id, as `list` shows it"),
        example="""
$ airflow edge enroll-token revoke 1f0c6f0e-5d8b-4c55-9a55-0d6f3f0c8a4e
Enrolment token 1f0c6f0e-5d8b-4c55-9a55-0d6f3f0c8a4e is revoked.
""",
    ),
)

KEY_COMMANDS: Final = (
    command(
        "show",
        "Show the keys with which the centre signs what workers do, newest first",
        "tokens.show_centre_key",
        ARG_OUTPUT,
        example="$ airflow edge centre-key show",
    ),
    command(
        "rotate",
        "Have the centre sign with a new key; workers come to know it by the one before",
        "tokens.rotate_centre_key",
        example="$ airflow edge centre-key rotate",
    ),
)
