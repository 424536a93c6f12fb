"""The commands of `airflow-edge`, called as `airflow edge …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def enroll(args: argparse.Namespace) -> None:
    """Run `airflow-edge enroll`."""
    _at_the_site("enroll", args.arguments)


def worker(args: argparse.Namespace) -> None:
    """Run `airflow-edge worker`."""
    _at_the_site("worker", args.arguments)


def status(args: argparse.Namespace) -> None:
    """Run `airflow-edge status`."""
    _at_the_site("status", args.arguments)


def stop(args: argparse.Namespace) -> None:
    """Run `airflow-edge stop`."""
    _at_the_site("stop", args.arguments)


def maintenance(args: argparse.Namespace) -> None:
    """Run `airflow-edge maintenance`."""
    _at_the_site("maintenance", args.arguments)


def _at_the_site(command: str, arguments: Sequence[str]) -> None:
    from airflow_edge.cli.site.main import main

    sys.exit(main([command, *arguments]))
