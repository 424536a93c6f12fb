"""Somebody who does what a page says, in its order: a shell for each place, with real values for those of the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.pages import Block, blocks_of
from harness.waiting import wait_for
from tests.docs.shapes import is_part_of, is_shown
from tests.docs.shell import PATIENCE, Service, Shell
from tests.docs.typed import Typed, typed

QUESTION = re.compile(r"^airflow(-edge| edge) (check|explain-job|list-\w+|status|logs|policy show)\b")
"""What may be asked again until the answer is the one that the page shows: it changes nothing."""
TOKEN = re.compile(r"\bedge_[\w-]{20,}\.[\w-]+")
READY = {"airflow standalone": "The edge gateway is ready", "airflow-edge worker": "linked to"}
"""What a service says when the reader may go on."""


def nothing(_: Block) -> None:
    """Prepare nothing."""


@dataclass
class Reader:
    """`values` replace what a page has for an example; `before` is called with each block that is to be typed."""

    shells: dict[str, Shell]
    values: Callable[[str], str]
    before: Callable[[Block], None] = nothing
    save: Callable[[Block], None] = nothing
    """Called with each block of Python."""
    skips: frozenset[str] = frozenset()
    """Commands whose effect is there already."""
    token: str = ""
    """The last one that was printed."""
    _printed: str | Service = ""
    _asked: list[Typed] = field(default_factory=list)

    def read(self, page: str) -> None:
        """Do what is typed in a page, and compare with what it shows."""
        for block in blocks_of(page):
            if block.kind in ("sh centre", "sh site"):
                self.before(block)
                self._type(block)
            elif block.language == "python":
                self.save(block)
            elif block.kind in ("text", "json"):
                self._compare(block)

    def _type(self, block: Block) -> None:
        shell = self.shells[block.place]
        self._asked, printed = [], ""
        for command in typed(block):
            if command.text in self.skips:
                continue
            text = self._filled_in(command.text)
            if command.goes_on or command.until_interrupted:
                service = shell.start(text)
                self._printed = service
                if command.until_interrupted:
                    wait_for(lambda: service.output.stat().st_size, command.text, timeout=PATIENCE)  # noqa: B023
                    shell.interrupt(service)
                else:
                    shell.until_shown(service, READY[" ".join(command.words[:2])])
                continue
            status, output = shell.type(text)
            assert status == command.status, f"{command.where}: `{text}` ended with status {status}:\n{output}"
            printed += output
            self.token = next(iter(TOKEN.findall(output)), self.token)
            self._printed = printed
            self._asked.append(command)

    def _filled_in(self, text: str) -> str:
        text = self.values(text)
        return text.replace("edge_…", self.token) if self.token else text

    def _compare(self, block: Block) -> None:
        shell = self.shells[block.after.place] if block.after else None
        assert shell is not None
        shown = self._filled_in(block.text)
        fits = is_shown if block.language == "text" else is_part_of

        def printed() -> str:
            if isinstance(self._printed, Service):
                return self._printed.output.read_text(errors="replace")
            return self._printed

        def seen() -> bool:
            if fits(shown, printed()):
                return True
            if self._asked and all(QUESTION.match(command.text) for command in self._asked):
                self._printed = "".join(shell.type(self._filled_in(command.text))[1] for command in self._asked)
            elif not isinstance(self._printed, Service):
                raise TimeoutError
            return False

        try:
            wait_for(seen, block.where, timeout=120.0)
        except TimeoutError:
            raise AssertionError(f"{block.where} shows\n{shown}\nand this was printed:\n{printed()}") from None
