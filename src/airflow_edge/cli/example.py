"""How a command's help shows its example. Read by every `airflow` and `airflow-edge` command, so it imports nothing."""

from __future__ import annotations

HEADING = "example:"
INDENT = "  "


def as_epilog(example: str) -> str:
    """Put an example below a command's help.

    :param example: what a person types, after `$ `, a backslash before each further line; below it, what is printed
    """
    return "\n".join([HEADING, *(INDENT + line for line in example.strip().split("\n"))])


def from_epilog(epilog: str) -> str:
    """Give the example that stands below a command's help; empty if there is none."""
    heading, *lines = epilog.split("\n")
    return "\n".join(line.removeprefix(INDENT) for line in lines) if heading == HEADING else ""
