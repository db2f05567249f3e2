"""What the doctor says: one line a thing that was looked at, and what to do where it is not in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "repaired", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: in order; was not, and was repaired; may become a fault; a fault.
        subject: what was looked at: a file, a store, a champion.
        what: what was found.
        remedy: what to do; empty when it is in order.
    """

    level: Level
    subject: str
    what: str
    remedy: str = ""
