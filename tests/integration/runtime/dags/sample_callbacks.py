from __future__ import annotations

from pathlib import Path


def notify(file, text):
    Path(file).write_text(text)


def fail():
    raise ValueError("this callback fails")
