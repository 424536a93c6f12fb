"""Fail if an example in README, CONTRIBUTING or docs is one that no test runs: `python -m tests.docs`."""

from __future__ import annotations

import sys

from harness.pages import all_blocks
from tests.docs.claims import problems


def main() -> int:
    """Print what is wrong, a line each."""
    found = list(problems(all_blocks()))
    print("\n".join(found), file=sys.stderr) if found else None
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
