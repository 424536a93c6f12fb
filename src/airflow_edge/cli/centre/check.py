"""What `airflow edge check` does: it looks at the centre and prints what it has found."""

from __future__ import annotations

import argparse

from airflow_edge.checking.centre import look_at_centre
from airflow_edge.checking.findings import as_line, is_right
from airflow_edge.cli.centre.common import in_a_line


def check(args: argparse.Namespace) -> None:
    """Say what is right and what to set; the exit status is 0 only if nothing has to be changed."""
    with in_a_line():
        found = [finding for _, finding in look_at_centre(args.api_url)]
    for finding in found:
        print(as_line(finding))
    if not is_right(found):
        raise SystemExit(1)
