"""Runs a program of `ui/`, with whichever Node there is: `python -m tools.ui vitest run`.

What `ui/package-lock.json` says is installed first, and the client's types are written.
"""

from __future__ import annotations

import subprocess
import sys

import hatch_build


def main() -> int:
    """Run it and pass its exit status on."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tools.ui PROGRAM [ARGUMENT …], such as: vitest run")
    try:
        node = hatch_build.prepare()
    except hatch_build.PageNotBuiltError as trouble:
        sys.exit(f"tools.ui: {trouble}")
    program, *arguments = sys.argv[1:]
    words = [node, f"node_modules/.bin/{program}", *arguments]
    return subprocess.run(words, cwd=hatch_build.UI, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
