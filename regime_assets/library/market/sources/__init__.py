"""Sources of market data, named in a universe's configuration; each is imported when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from regime_assets.library.market.sources.base import Fetched, Source, SourceError

__all__ = ["SOURCES", "Fetched", "Source", "SourceError", "create_source"]

SOURCES = {
    "sample": "SampleSource",
    "yahoo": "YahooSource",
    "alpha_vantage": "AlphaVantageSource",
    "files": "FilesSource",
}


def create_source(kind: str, options: Mapping[str, Any] | None = None) -> Source:
    """The source that a configuration names.

    Args:
        kind: a key of `SOURCES`, which is also the name of its module.
        options: keyword arguments of its class. Keys are never among them: they come from the environment.

    Raises:
        SourceError: an unknown source, or options that it does not take.
    """
    if kind not in SOURCES:
        raise SourceError(f"unknown source {kind!r}; there are {', '.join(SOURCES)}")
    source_class = getattr(import_module(f"{__name__}.{kind}"), SOURCES[kind])
    try:
        inspect.signature(source_class).bind(**(options or {}))
    except TypeError as error:
        raise SourceError(f"source {kind}: {error}") from error
    return source_class(**(options or {}))
