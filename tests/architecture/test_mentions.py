"""A file that a page, a comment or a docstring names is there: whoever follows a pointer arrives."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

PATH = re.compile(r"(?<![\w/.:{}$~*-])(?:(?!\.\.)[\w.-]+/)+[\w.-]+\.(?:py|md|toml|txt|json|in|service|cfg)\b(?!\()")
FOLDER = re.compile(r"`((?:[a-z_]+/)+)`")
DEFINED = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.py): (\w+)`")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)")

ELSEWHERE = frozenset(
    {
        # Airflow's and zstd's own.
        "api_fastapi/common/exceptions.py",
        "contrib/seekable_format/zstd_seekable_compression_format.md",
        "execution_api/routes/task_instances.py",
    }
)
"""Paths that are not of this repository."""


@cache
def files() -> frozenset[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return frozenset(name for name in listed if (ROOT / name).exists())


@cache
def tails() -> frozenset[str]:
    """Every way to name a file or a folder by the end of its path."""
    found = set()
    for name in files():
        parts = name.split("/")
        found |= {"/".join(parts[start:end]) for end in range(1, len(parts) + 1) for start in range(end)}
    return frozenset(found)


def pages() -> list[Path]:
    return [ROOT / name for name in sorted(files()) if name.endswith(".md") and not name.startswith("changelog")]


def said(file: Path) -> str:
    """The comments and strings of a Python file."""
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    return "\n".join(token.string for token in tokens if token.type in (tokenize.COMMENT, tokenize.STRING))


def mentions() -> Iterator[tuple[str, str]]:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        where = str(page.relative_to(ROOT))
        yield from ((where, name) for name in PATH.findall(text))
        yield from ((where, name.rstrip("/")) for name in FOLDER.findall(text))
    for name in sorted(files()):
        if name.startswith(("src/", "tools/", "harness/")) and name.endswith(".py"):
            yield from ((name, path) for path in PATH.findall(said(ROOT / name)))


def test_every_file_that_is_named_is_there() -> None:
    found = list(mentions())
    assert len(found) > 20
    assert not [
        f"{where}: {path}" for where, path in found if path.removeprefix("./") not in tails() and path not in ELSEWHERE
    ]


def test_every_link_of_a_page_arrives() -> None:
    links = [(page, target) for page in pages() for target in LINK.findall(page.read_text(encoding="utf-8"))]
    assert len(links) > 50
    assert not [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()]


def test_what_a_page_says_is_in_a_file_is_in_it() -> None:
    named = [mention for page in pages() for mention in DEFINED.findall(page.read_text(encoding="utf-8"))]
    assert len(named) > 20
    for path, name in named:
        (home,) = [file for file in files() if file == f"src/airflow_edge/{path}"] or [f"no {path}"]
        text = (ROOT / home).read_text(encoding="utf-8") if "no " not in home else ""
        assert re.search(rf"^\s*(?:(?:async )?(?:def|class) )?{name}\b", text, re.MULTILINE), f"{path} has no {name}"
