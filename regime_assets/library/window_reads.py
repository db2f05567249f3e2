"""What was read or inferred in a run, for who asks next: windows, the features of each, and regimes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeVar

Kind = Literal["window", "features", "regimes"]
AnswerT = TypeVar("AnswerT")

MOST: dict[Kind, int] = {"window": 64, "features": 64, "regimes": 192}
"""What is kept of each kind, for a month of sessions: some megabytes each, of regimes half of one."""


class WindowReads:
    """Memory of a run. It is for runs only: outside of one, prices may change between two readers."""

    def __init__(self) -> None:
        self._kept: dict[Kind, OrderedDict[Hashable, Any]] = {kind: OrderedDict() for kind in MOST}

    def once(self, kind: Kind, key: Hashable, read: Callable[[], AnswerT]) -> AnswerT:
        """What `read` gave for this key, from the first time on."""
        kept = self._kept[kind]
        if key not in kept:
            kept[key] = read()
            while len(kept) > MOST[kind]:
                kept.popitem(last=False)
        kept.move_to_end(key)
        return kept[key]
