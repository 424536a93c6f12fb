"""What a person types, command by command, and what the page says of its end."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from harness.pages import Block

COMMENT = re.compile(r"(?:^|\s)#\s(?P<words>.*)$")
STATUS = re.compile(r"\bstatus (?P<status>\d+)")
HEREDOC = re.compile(r"<<-?\s*['\"]?(?P<end>\w+)")
ENDLESS = re.compile(r"^airflow (standalone|scheduler|api-server|dag-processor|triggerer)\b|^airflow-edge worker\b")
IN_THE_BACKGROUND = re.compile(r"\s(-D|--daemon)\b|&\s*$")


@dataclass(frozen=True)
class Typed:
    """One command, as it stands in the page.

    `where` is page and line; `comment` what stands behind it; `printed` the lines below it, in a block with prompts.
    """

    where: str
    text: str
    comment: str = ""
    printed: str = ""

    @property
    def status(self) -> int:
        """The exit status that the page promises: 0 unless it says another."""
        said = STATUS.search(self.comment)
        return int(said["status"]) if said else 0

    @property
    def goes_on(self) -> bool:
        """Whether it stays in the foreground until it is interrupted, as a service does."""
        return bool(ENDLESS.match(self.text)) and not IN_THE_BACKGROUND.search(self.text)

    @property
    def until_interrupted(self) -> bool:
        """Whether the page says that it shows something until Ctrl-C."""
        return "until Ctrl-C" in self.comment

    @property
    def words(self) -> list[str]:
        """The words of the first of its programs, as a shell reads them."""
        lexer = shlex.shlex(self.text.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        return list(itertools.takewhile(lambda word: word not in ("|", "||", "&", "&&", ";", ">", "<"), lexer))


def typed(block: Block) -> list[Typed]:
    """Give the commands of a block; `ValueError` if a quote stays open."""
    return list(_with_prompts(block) if block.language == "console" else _plain(block))


def _with_prompts(block: Block) -> Iterator[Typed]:
    found: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            found.append((number, [line.removeprefix("$ ")], []))
        elif found and not found[-1][2] and found[-1][1][-1].endswith("\\"):
            found[-1][1].append(line)
        elif found:
            found[-1][2].append(line)
    for number, command, printed in found:
        yield Typed(f"{block.page}:{number}", "\n".join(command), printed="\n".join(printed))


def _plain(block: Block) -> Iterator[Typed]:
    lines: list[str] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if not lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        lines.append(line)
        command = "\n".join(lines)
        if _is_whole(command):
            comment = COMMENT.search(line)
            text = command[: -len(comment[0])].rstrip() if comment else command
            yield Typed(f"{block.page}:{number - len(lines) + 1}", text, comment["words"] if comment else "")
            lines = []
    if lines:
        raise ValueError(f"{block.where}: this is no whole command: {lines[0]}")


def _is_whole(command: str) -> bool:
    here = HEREDOC.search(command)
    if here:
        return command.splitlines()[-1].strip() == here["end"]
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return not command.endswith("\\")
