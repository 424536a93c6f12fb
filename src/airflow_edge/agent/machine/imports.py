"""What a Dag file imports and this site has not: found by reading the file, not by running it.

Only what is certain is told. An import in a function, an `if` or a `try` may never be run. A file that may be no Dag,
by its words or by an `.airflowignore`, may never be loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

MOST_READ: Final = 500
"""Files of a folder."""
LONGEST_FILE: Final = 1024 * 1024
_PROVIDERS: Final = "airflow.providers."
_IGNORE: Final = ".airflowignore"


class Import(NamedTuple):
    """One import that is run whenever its file is."""

    line: int
    module: str


class Imports:
    """What files import, each read once for as long as it does not change."""

    def __init__(self, beside: Sequence[Path] = ()) -> None:
        """:param beside: what Airflow adds to `sys.path` for every Dag: the folders of plugins and of configuration"""
        self._beside = [str(folder) for folder in beside]
        self._read: dict[Path, tuple[tuple[int, int], tuple[Import, ...]]] = {}

    def missing(self, folder: Path, files: Iterable[Path]) -> Iterator[str]:
        """Say which modules are not to be had, and which files of a folder of Dags want them."""
        wanted: dict[str, list[str]] = {}
        for file in list(files)[:MOST_READ]:
            if file.suffix == ".py" and not _is_ignored(folder, file):
                for line, module in self._of(file):
                    wanted.setdefault(module, []).append(f"{file.relative_to(folder)}, line {line}")
        path = [str(folder), *self._beside, *sys.path]
        for module, places in wanted.items():
            if not _is_there(module, path):
                more = f" and {len(places) - 1} more" if len(places) > 1 else ""
                yield f"{module} is not installed here, and {folder}/{places[0]}{more} cannot be loaded without it"

    def _of(self, file: Path) -> tuple[Import, ...]:
        try:
            facts = file.stat()
            stamp = facts.st_mtime_ns, facts.st_size
            if file not in self._read or self._read[file][0] != stamp:
                self._read[file] = stamp, _imports(file) if facts.st_size <= LONGEST_FILE else ()
        except OSError:
            return ()
        return self._read[file][1]


def _imports(file: Path) -> tuple[Import, ...]:
    import ast

    source = file.read_bytes()
    # As Airflow looks for them.
    if not (b"airflow" in source.lower() and b"dag" in source.lower()):
        return ()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = []
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            found += [Import(statement.lineno, name.name) for name in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            found.append(Import(statement.lineno, statement.module))
    return tuple(found)


def _is_ignored(folder: Path, file: Path) -> bool:
    """Say whether it may be; by which rules, is Airflow's affair."""
    return any((parent / _IGNORE).exists() for parent in file.parents if parent.is_relative_to(folder))


def _is_there(module: str, path: list[str]) -> bool:
    """Look for a provider's module as a file, and of another one for the package that it is in.

    What is below that may be made when it is imported; providers are plain, and share the package `airflow`.
    """
    try:
        if module.startswith(_PROVIDERS):
            place = module.replace(".", os.sep)
            return any(
                file.is_dir() or file.with_suffix(".py").is_file() for file in (Path(one, place) for one in path)
            )
        top = module.partition(".")[0]
        return PathFinder.find_spec(top, path) is not None or find_spec(top) is not None
    except Exception:  # noqa: BLE001 - somebody else's importer; what cannot be known is not said to be missing
        return True
