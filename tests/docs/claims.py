"""The rule that each example is one that a test runs: a block that nobody claims, and a value that nobody puts in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from harness.pages import Block

RUNNERS: Mapping[str, str] = {
    "sh centre": "typed at a centre that runs",
    "sh site": "typed at a site that is linked to it",
    "sh clone": "in a clone of the repository: programs, make's targets and scripts are there",
    "console": "in a generated page: commands that the product's own parser takes",
    "text": "what the `sh` block before it prints",
    "text message": "what the product says, word by word",
    "text processes": "what runs at a site, as `ps` names it",
    "text usage": "how a command is called, in a generated page",
    "python": "a Dag, run to its end at the site, or a module, loaded",
    "ini": "options that Airflow or we have",
    "json": "what the `sh` block before it prints",
    "toml": "a site policy, or the rules of what a site keeps, as the worker reads them",
    "nginx": "the configuration of the nginx that the tests of proxies go through",
    "systemd": "a unit that systemd-analyze reads, and whose command is one",
    "mermaid": "a generated diagram",
}
"""What follows the fence (a language, and for some a place), and what the tests do with such a block."""

GENERATED = "docs/reference/"
ONLY_GENERATED = frozenset({"console", "text usage", "mermaid"})
OUTPUT = frozenset({"text", "json"})
SHOWS_OUTPUT = frozenset({"sh centre", "sh site"})

URL = re.compile(r"https?://[^\s'\"`]+")
URLS = re.compile(
    r"https?://(airflow\.example\.org|(user:password@)?proxy\.example\.org:3128|localhost|127\.0\.0\.1)\b"
)
TOKEN = re.compile(r"\bedge_(?!worker\b)[\w-]+")
PATH = re.compile(r"(?<![\w.:/$}~*\-…])/(?!/)[\w.…-]+(?:/[\w.…*-]+)*")
PATHS = re.compile(r"/(path/to|opt/airflow-edge|var/lib/airflow-edge|usr/bin/python3|dev/null)\b|/edge_worker/")
BLANK = re.compile(r"(?<![\w$/{.=-])(?:[A-Z]{2,}_?)+(?![\w=/}])|<[a-z -]+>")
SHELL_WORDS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "EOF", "HUP", "INT", "TERM", "SIGINT"})


def problems(blocks: Iterable[Block]) -> Iterator[str]:
    """Name every block that no test would run, where it stands and what to do about it."""
    for block in blocks:
        for problem in (*_unclaimed(block), *_placeholders(block)):
            yield f"{block.where}: {problem}"


def _unclaimed(block: Block) -> Iterator[str]:
    if not block.closed:
        yield "this block has no end: the rest of the page is in it"
    kinds = ", ".join(sorted(set(RUNNERS) - ONLY_GENERATED))
    if block.kind not in RUNNERS:
        yield f"no test runs a block of '{block.kind or 'no language'}'; begin it with ``` and one of: {kinds}"
    elif block.kind in ONLY_GENERATED and not block.page.startswith(GENERATED):
        yield f"'{block.kind}' is for generated pages; begin it with ``` and one of: {kinds}"
    elif block.kind in OUTPUT and (block.after is None or block.after.kind not in SHOWS_OUTPUT):
        yield f"'{block.kind}' is output: put the `sh centre` or `sh site` block that prints it before it"


def _placeholders(block: Block) -> Iterator[str]:
    """Name values that are not among those that the tests replace by real ones."""
    if block.language not in ("sh", "console"):
        return
    for url in URL.findall(block.text):
        if not URLS.match(url):
            yield f"the tests know no {url}; write https://airflow.example.org"
    for token in TOKEN.findall(block.text):
        yield f"the tests know no token {token}; write edge_…"
    if block.kind == "sh clone":
        return
    for path in PATH.findall(URL.sub("", block.text)):
        if not PATHS.match(path):
            yield f"the tests know no {path}; write /path/to/…"
    for blank in BLANK.findall(re.sub(r"(?m)(^|\s)#.*$", "", "\n".join(_typed(block)))):
        if blank not in SHELL_WORDS:
            yield f"{blank} is for the reader to fill in; write a value that works, like press-7, plc or press_check"


def _typed(block: Block) -> list[str]:
    """Give what a person types of it, without what is printed."""
    if block.language != "console":
        return block.text.splitlines()
    return [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
