"""Lines out of pieces of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def lines(pieces: Iterable[bytes], *, complete: bool, start: int = 0, after: int = 0) -> Iterator[str]:
    """Give the lines, without their ends, one by one; bytes that are no UTF-8 become U+FFFD.

    :param complete: nothing follows: the last line counts even if nothing ends it. Otherwise it is held back, because
        readers go on where they were.
    :param start: where in the log the pieces begin, in bytes; a line must begin there
    :param after: give only lines that end beyond this position; see `position`
    """
    begun: list[bytes] = []
    end = start
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        end += len(first)
        for other in others:
            end += 1
            if end > after:
                yield _text(begun)
            begun = [other]
            end += len(other)
    if complete and any(begun) and end + 1 > after:
        yield _text(begun)


def position(size: int, *, complete: bool) -> int:
    """Give what to read on after, once all lines of the first `size` bytes were read: the end of the last, in bytes.

    A last line that nothing ends is taken for one that ends after another byte.
    """
    return size + complete


def line_start(before: bytes, position: int) -> int:
    """Give where to begin in order to read the line at this position whole.

    :param before: the bytes that end there; if no line ends in them, the beginning of everything is given
    """
    end = before.rfind(b"\n")
    return 0 if end < 0 else position - len(before) + end + 1


def first_bytes(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut the pieces off after `size` bytes."""
    for piece in pieces:
        if len(piece) >= size:
            yield piece[:size]
            return
        size -= len(piece)
        yield piece


def _text(parts: list[bytes]) -> str:
    return b"".join(parts).decode("utf-8", "replace")
