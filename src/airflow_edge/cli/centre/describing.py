"""How a command of `airflow edge` is described: never without an example. Every `airflow` command reads this."""

from __future__ import annotations

import re
from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, lazy_load_command

from airflow_edge.cli.example import as_epilog


def literal(text: str) -> str:
    """Have a text printed as it is: Airflow's help would take `[edge]` for markup and leave it out."""
    return re.sub(r"(?=\[[a-z#/@])", r"\\", text)


def plain(text: str) -> str:
    """Give a text back that was made `literal`."""
    return text.replace(r"\[", "[")


def arg(*flags: str, **options: Any) -> Arg:
    """Describe an argument, as `argparse` wants it."""
    if "help" in options:
        options["help"] = literal(options["help"])
    return Arg(flags, **options)  # type: ignore[no-untyped-call]


def command(name: str, text: str, function: str, *args: Arg, example: str, description: str = "") -> ActionCommand:
    """Describe a command.

    :param text: what it does, in a line
    :param function: `module.function` below `airflow_edge.cli`, imported only when the command is called
    :param example: see `as_epilog`
    :param description: the same at more length
    """
    return ActionCommand(
        name=name,
        help=literal(text),
        description=literal(description) or None,
        func=lazy_load_command(f"airflow_edge.cli.centre.{function}"),
        args=args,
        epilog=literal(as_epilog(example)),
    )
