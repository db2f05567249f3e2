"""What was read in a run, for its next reader: windows and the features of each, the newest ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MOST = 64
"""Windows and feature tables that are kept: those of a month of sessions, some megabytes each."""


class WindowReads:
    """Memory of a run. It is for runs only: outside of one, prices may change between two readers."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def once(self, key: Hashable, read: Callable[[], Any]) -> Any:
        """What `read` gave for this key, from the first time on."""
        if key not in self._kept:
            self._kept[key] = read()
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return self._kept[key]
