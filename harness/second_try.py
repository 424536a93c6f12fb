"""Runs the tests, and what failed beside all the others once more by itself: `python -m harness.second_try ARGS`.

Of six thousand tests on a few busy cores, about one a run waits longer for a process than its deadline. That says
something about the machine; what the change has broken fails by itself, too. Which ones needed it is printed: each is
a race to be mended.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 3
"""How many may fail and be tried again; more are no accident."""
TESTS_FAILED = 1
"""pytest's exit status when all was run and some failed."""


def run(args: list[str]) -> int:
    """Run pytest with these arguments; give its exit status, that of the second try if there was one."""
    with tempfile.TemporaryDirectory() as folder:
        status = _pytest(*args, "-o", f"cache_dir={folder}")
        noted = Path(folder) / "v" / "cache" / "lastfailed"
        failed = list(json.loads(noted.read_text(encoding="utf-8"))) if noted.exists() else []
    if status != TESTS_FAILED or not 0 < len(failed) <= MOST:
        return status
    names = "\n  ".join(failed)
    print(f"\nOnce more, by themselves:\n  {names}", flush=True)
    if status := _pytest(*failed):
        return status
    print(f"\nFailed beside all the others, and passed by themselves (a race to be mended):\n  {names}", flush=True)
    return 0


def _pytest(*args: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *args], check=False).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
