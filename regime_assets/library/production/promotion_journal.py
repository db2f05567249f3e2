"""The promotion journal: what a promotion is about to do, written down before it does it.

An MLflow registry moves one alias at a time and has no compare-and-set, so that a promotion is several writes. Each
promotion appends a `begin` line before the first and an `end` line after the last. A `begin` without its `end` is a
promotion that was killed; the registry completes or abandons it at its next call. The file is append-only and is the
history of who served when, and why.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from regime_assets.library.clock import clock

Kind = Literal["promotion", "roll_back"]
Outcome = Literal["completed", "abandoned"]


@dataclass(frozen=True)
class Aliases:
    """The versions that the two aliases name; None where an alias does not exist."""

    champion: int | None
    previous: int | None


@dataclass(frozen=True)
class Destination:
    """The versions that the two aliases shall name; without `previous`, its alias goes."""

    champion: int
    previous: int | None


@dataclass(frozen=True)
class Move:
    """One intended move of the aliases.

    Attributes:
        kind: promotion or roll-back.
        session: as of which session the champion changes; never earlier than that of the move before.
        before: the aliases when it began.
        after: the aliases it leads to.
        reason: why, in the words of whoever asked.
        verdict: the gate's verdict it rests on; empty for a roll-back.
        identifier: unique among the moves of all models.
        began_at: when it began, UTC.
        outcome: None as long as it is under way (or was killed).
    """

    kind: Kind
    session: date
    before: Aliases
    after: Destination
    reason: str
    verdict: str
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex)
    began_at: datetime = field(default_factory=clock.now)
    outcome: Outcome | None = None


class PromotionJournal:
    """The journal of one registered model. Writers hold the model's lock; readers need none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, intended: Move) -> None:
        """Record an intended move durably."""
        self._append(
            {
                "event": "begin",
                "id": intended.identifier,
                "kind": intended.kind,
                "session": intended.session.isoformat(),
                "before": [intended.before.champion, intended.before.previous],
                "after": [intended.after.champion, intended.after.previous],
                "reason": intended.reason,
                "verdict": intended.verdict,
                "at": intended.began_at.isoformat(),
            }
        )

    def end(self, identifier: str, outcome: Outcome) -> None:
        """Record durably how the move ended."""
        self._append({"event": "end", "id": identifier, "outcome": outcome, "at": clock.now().isoformat()})

    def moves(self) -> list[Move]:
        """Every move, oldest first.

        A line that is cut short is passed over. Only a crash during its own append cuts a line, and nothing rests
        on such a line: no alias moves before `begin` is on the disk, and a missing `end` is repaired.
        """
        begun: dict[str, dict[str, Any]] = {}
        ended: dict[str, Outcome] = {}
        for line in self._lines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["event"] == "begin":
                begun[entry["id"]] = entry
            else:
                ended[entry["id"]] = entry["outcome"]
        return [_move(entry, ended.get(identifier)) for identifier, entry in begun.items()]

    def pending(self) -> Move | None:
        """The move that has begun and not ended; there is at most one, since writers hold the lock."""
        return next((move for move in reversed(self.moves()) if move.outcome is None), None)

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []

    def _append(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a predecessor was killed within its line
                    file.write(b"\n")
            file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _move(entry: dict[str, Any], outcome: Outcome | None) -> Move:
    return Move(
        kind=entry["kind"],
        session=date.fromisoformat(entry["session"]),
        before=Aliases(*entry["before"]),
        after=Destination(*entry["after"]),
        reason=entry["reason"],
        verdict=entry["verdict"],
        identifier=entry["id"],
        began_at=datetime.fromisoformat(entry["at"]),
        outcome=outcome,
    )
