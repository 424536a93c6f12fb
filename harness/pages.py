"""What README, CONTRIBUTING and docs show people to type: every fenced block and every piece of inline code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Block:
    """A block of code.

    `language` and `place` are the first and second word after the fence, `line` is where it stands in the page.
    `after` is the block before it under the same heading, which a block of output belongs to.
    """

    page: str
    line: int
    heading: str
    language: str
    place: str
    text: str
    after: Block | None = None
    closed: bool = True
    """Whether its fence has an end; without one it swallows the rest of the page."""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        return f"{self.language} {self.place}".strip()


@dataclass(frozen=True)
class Inline:
    """A piece of inline code."""

    page: str
    line: int
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Give all pages with examples, as paths from the root. Decisions say what was so at their time."""
    found = sorted(page.relative_to(ROOT) for page in (ROOT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", *(str(page) for page in found if page.parts[1] != "decisions")]


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """Give the blocks of one page in their order."""
    return tuple(read_blocks(page, (ROOT / page).read_text(encoding="utf-8")))


def all_blocks() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


def read_blocks(page: str, text: str) -> Iterator[Block]:
    """Find the blocks in the text of a page."""
    heading, before, lines = "", None, text.split("\n")
    for token, following in _in_pairs(text):
        if token.type == "heading_open":
            heading, before = following.content, None
        elif token.type in ("fence", "code_block"):
            language, place, *_ = [*token.info.split(), "", ""]
            line = token.map[0] + 1 if token.map else 0
            closed = token.type == "code_block" or _ends(token, lines)
            yield (before := Block(page, line, heading, language, place, token.content, before, closed))


def inline_code(page: str) -> Iterator[Inline]:
    """Find the inline code of a page, its tables included."""
    for token, _ in _in_pairs((ROOT / page).read_text(encoding="utf-8")):
        for child in token.children or []:
            if child.type == "code_inline":
                yield Inline(page, token.map[0] + 1 if token.map else 0, " ".join(child.content.split()))


def _ends(fence: Token, lines: list[str]) -> bool:
    begin, end = fence.map or (0, 0)
    return end - begin > 1 and lines[end - 1].lstrip(" >\t").startswith(fence.markup)


def _in_pairs(text: str) -> list[tuple[Token, Token]]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return list(zip(tokens, [*tokens[1:], *tokens[-1:]], strict=True))
