"""What was read or inferred in a run, for who asks next: windows, the features of each, and regimes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar

Kind = Literal["window", "features", "regimes"]
AnswerT = TypeVar("AnswerT")

MOST_BYTES: dict[Kind, int] = {"window": 300_000_000, "features": 200_000_000, "regimes": 150_000_000}
"""What is kept of each kind: of twenty symbols since 1995 the windows of three months of sessions."""


class WindowReads:
    """Memory of a run. It is for runs only: outside of one, prices may change between two readers."""

    def __init__(self) -> None:
        self._kept: dict[Kind, OrderedDict[Hashable, tuple[int, Any]]] = {kind: OrderedDict() for kind in MOST_BYTES}
        self._bytes: dict[Kind, int] = dict.fromkeys(MOST_BYTES, 0)

    def once(self, kind: Kind, key: Hashable, read: Callable[[], AnswerT]) -> AnswerT:
        """What `read` gave for this key, from the first time on, as long as there is room; the newest one is kept."""
        kept = self._kept[kind]
        if key not in kept:
            answer = read()
            kept[key] = size_of(answer), answer
            self._bytes[kind] += kept[key][0]
            while self._bytes[kind] > MOST_BYTES[kind] and len(kept) > 1:
                _, (size, _) = kept.popitem(last=False)
                self._bytes[kind] -= size
        kept.move_to_end(key)
        return kept[key][1]


def size_of(value: Any) -> int:
    """Bytes of the arrays and tables in a value, those of its fields among them."""
    if is_dataclass(value):
        return sum(size_of(getattr(value, field.name)) for field in fields(value))
    if hasattr(value, "memory_usage"):  # of pandas, which is not imported to ask
        usage = value.memory_usage()
        return int(usage if isinstance(usage, int) else usage.sum())
    return int(getattr(value, "nbytes", 0))
