"""Lines out of pieces of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def lines(pieces: Iterable[bytes], *, complete: bool) -> Iterator[str]:
    """Give the lines, without their ends, one by one; bytes that are no UTF-8 become U+FFFD.

    :param complete: nothing follows: the last line counts even if nothing ends it. Otherwise it is held back, because
        readers count lines to know where to go on.
    """
    begun: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        for other in others:
            yield _text(begun)
            begun = [other]
    if complete and any(begun):
        yield _text(begun)


def _text(parts: list[bytes]) -> str:
    return b"".join(parts).decode("utf-8", "replace")
