"""Measures the way of one job from `EdgeExecutor.queue_workload` to the task's own code: `python -m tools.journey`.

A whole Airflow and one worker at a site are started (SQLite, so no NOTIFY), with a profile function in every process of
them (`hook/sitecustomize.py`). Three tasks run, one after the other. What counts:

* **Handed the job**: a function of ours that has it as an argument (not `self`), as a local variable or as what it
  returns. "It" is the job's id, an `AssignmentKey`, a path, document or encoded frame with the id in it, Airflow's
  workload of it, or an object of ours with one of these in its fields (three deep; lists, tuples and dicts too).
  A text for people that mentions the id (a title, a line of log) is not the job. Nor does a function count that would
  pass on anything (its result's type is a type variable, or holds nothing else: a
  transaction, a thread, a decoder), or a property or
  `__str__`, which only says something of its own object (`Assigned.key`).
* **Forward only.** In each process from the first touch until the job is in the next process's hands; in the scheduler
  until `queue_workload` has returned; in the supervisor until the task's own code begins. So acceptances that were
  sent, heartbeats, logs and the task's calls to the Execution API are not on the way. Within that time a call whose
  only burden is an answer (a message from site to centre or from runtime to agent) is left out, with all it calls.
* **What comes after** the start is prepared on the way by a few files, which get the job and hand it on to nobody.
  They are named in `way.WAY_BACK`, each with its reason, and printed under the list.
* **Files**: those with such a function, and those that define a shape, if no function of theirs had it.
* **Shapes**: the classes of ours of the objects that were or held the job, and Airflow's workload. One that holds
  another shape counts too, unless its field could hold any message (a frame) or many jobs (a batch). Names do not: a
  job's id and an assignment's key stay what they are on the whole way.
* **Not by chance**: a file counts if all three jobs went through it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools.journey.measuring import Travel, travels
from tools.journey.way import File, way

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN = "<!-- Measured by `python -m tools.journey --markdown`; do not edit. -->"
END = "<!-- End of what was measured. -->"


def totals(files: list[File]) -> str:
    """Give the line that sums it up."""
    return f"files: {len(files)}, shapes: {sum(len(file.shapes) for file in files)}"


def listing(files: list[File], behind: set[str]) -> str:
    """Give the list for a terminal."""
    lines = []
    for number, file in enumerate(files, 1):
        what = [file.process.ljust(10), file.name.ljust(34), (file.function or "(defines a shape)").ljust(36)]
        lines.append(f"{number:3} {' '.join(what)} {', '.join(file.shapes)}".rstrip())
    return "\n".join([*lines, f"what comes after is prepared in: {', '.join(sorted(behind))}", totals(files)])


def section(files: list[File], behind: set[str]) -> str:
    """Give the section of ARCHITECTURE.md."""
    lines = ["| | process | file | function | new shape of the job |", "|---|---|---|---|---|"]
    for number, file in enumerate(files, 1):
        function = f"`{file.function}`" if file.function else "(defines a shape)"
        shapes = ", ".join(f"`{shape}`" for shape in file.shapes)
        lines.append(f"| {number} | {file.process} | `{file.name}` | {function} | {shapes} |")
    back = ", ".join(f"`{name}`" for name in sorted(behind))
    return "\n".join([BEGIN, *lines, "", f"{totals(files)}. What comes after is prepared in {back}.", END])


def check(measure: Callable[[], list[Travel]] = travels) -> int:
    """Compare the page with a measurement; give the exit status."""
    measured = section(*way(measure()))
    if measured in PAGE.read_text(encoding="utf-8"):
        print("ARCHITECTURE.md is current")
        return 0
    print(f"{measured}\n\nARCHITECTURE.md is stale: `python -m tools.journey --markdown` gives the section above")
    return 1


def main() -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.journey", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true", help="print the section for ARCHITECTURE.md")
    parser.add_argument("--check", action="store_true", help="exit with 1 if ARCHITECTURE.md is stale")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    found = way(travels())
    print(section(*found) if arguments.markdown else listing(*found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
