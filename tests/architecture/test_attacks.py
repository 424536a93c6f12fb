"""Each attack that ever broke something, and each that held, has a test; the page on security links to them.

`@pytest.mark.attack(n)` says which one a test makes, `@pytest.mark.held("…")` which of those that always failed. The
numbers are those of the list that the attacks were written down in; a test named `test_attack_07_…` says its number so.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.architecture.test_documented_tests import DOCS, tables

TESTS = Path(__file__).parents[1]
PAGE = DOCS / "explanation" / "security.md"

ATTACKS = {
    1: "a value of one worker stops the handing out of jobs to all",
    2: "a job may call Airflow before its task begins and after it has ended",
    3: "a request begun before a revocation is carried out after it",
    4: "one job's calls take all of the API server's memory",
    5: "a revoked worker's name brings a stranger its past",
    6: "who sees an enrolment uses it",
    7: "who sees a request changes it, or sends it elsewhere",
    8: "who answers in the centre's place makes a site act; http:// is taken without a word",
    9: "a worker takes all jobs and keeps them",
    10: "a task reads its worker's key, speaks for others and outlives its end",
    11: "a task that names its executor does not run at a plain site",
    12: "what a site says writes lines of its own into a log",
    13: "a newline at the end of a name makes it another",
    14: "a log has no end, and a wrong end of it costs the others time",
    15: "strangers fill the memory with requests that they never end",
    16: "a stranger who hangs up fills the log",
    18: "who may command one team's workers learns of another's",
    19: "a local process without a secret fills the agent's memory",
    21: "documents of the REST API and of the Execution API are open",
    22: "a state that makes no sense costs the API server an error, or half a minute",
    23: "an exception's text is shown to anybody",
    24: "a call looks to the policy like less than Airflow makes of it; a listing's count tells of what it leaves out",
    25: "what a task asks for grants more than that in the policy that is suggested, or makes it none",
    26: "a task's own state names what is not its own: any function for the triggerer, any asset",
    27: "what root runs is loaded from the folder that root was in, or is what a task has written into a configuration",
}
"""By their numbers; 17 and 20 were never given."""

HELD = {
    "replay at one API server",
    "another method or path",
    "a path spelled with escapes",
    "algorithm none, HS256, a key in the header",
    "another spelling of a signature",
    "a clock that is off, a token for years",
    "a token in the query",
    "a token used by many at once",
    "one name wanted by many keys at once",
    "an enrolment signed as a worker",
    "the shared secret: off, wrong, old, another algorithm",
    "another task by its id or a detour",
    "another method by a header, two jobs in one call",
    "a chunk of a log that unpacks to far more, or wants a huge window",
    "an offset at the end of all numbers",
    "MessagePack that nests without end",
    "a WebSocket message that inflates, or is too long",
    "many long messages before any Hello",
    "hundreds of polls by one key",
    "escapes and newlines in what list-workers shows",
    "a folder for sockets that is another's, a link, or open to all",
    "a key that others may read",
    "another user of the machine: no socket, file or folder",
    "who may what over the REST API",
    "a task's token at the REST API",
    "a change sent with a browser's cookie by another site",
    "order_by, NUL, surrogates, huge numbers, unknown fields",
    "what belongs to another team",
    "thousands of patterns at once",
    "a host name in /run that the centre would call",
    "a call with two lengths and another request behind it, a WebSocket elsewhere than at the link",
}
"""What was tried and never broke anything."""


@cache
def marked(mark: str) -> dict[object, set[str]]:
    """Give what tests are marked with, and by which tests."""
    found: defaultdict[object, set[str]] = defaultdict(set)
    for file in TESTS.rglob("test_*.py"):
        for test in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_")):
                continue
            named = re.match(r"test_attack_(\d+)_", test.name) if mark == "attack" else None
            said: list[object] = [int(named[1])] if named else []
            for part in (part for decorator in test.decorator_list for part in ast.walk(decorator)):
                if isinstance(part, ast.Call) and ast.unparse(part.func) == f"pytest.mark.{mark}":
                    said += [ast.literal_eval(value) for value in part.args]
            for one in said:
                found[one].add(test.name)
    return found


def test_each_attack_that_broke_something_is_made_by_a_test() -> None:
    found = marked("attack")
    assert {number: what for number, what in ATTACKS.items() if number not in found} == {}
    assert found.keys() - ATTACKS.keys() == set()


def test_each_attack_that_held_is_made_by_a_test() -> None:
    assert marked("held").keys() == HELD


def test_the_page_says_of_each_attacker_what_he_gets_and_which_test_shows_it() -> None:
    rows = tables(PAGE, "what he tries")
    assert len(rows) > 40
    assert {len(row) for row in rows} == {3}
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    for attacker in (section for section in sections if section.startswith("Who ")):
        assert "| what he tries |" in attacker, attacker.partition("\n")[0]
