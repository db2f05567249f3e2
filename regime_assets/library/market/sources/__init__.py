"""Sources of market data, named in a universe's configuration; each is imported when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from regime_assets.library.market.sources.base import (
    FactsSource,
    Fetched,
    FetchedFacts,
    PriceBasis,
    Source,
    SourceError,
)

__all__ = [
    "FACTS_SOURCES",
    "SOURCES",
    "FactsSource",
    "Fetched",
    "FetchedFacts",
    "Source",
    "SourceError",
    "basis_of",
    "create_facts_source",
    "create_source",
]

# name in the configuration, which is also the module → class
SOURCES = {
    "sample": "SampleSource",
    "yahoo": "YahooSource",
    "alpha_vantage": "AlphaVantageSource",
    "files": "FilesSource",
}
FACTS_SOURCES = {"fred": "FredSource", "sec": "SecSource"}


def create_source(kind: str, options: Mapping[str, Any] | None = None) -> Source:
    """The source of prices that a configuration names.

    Args:
        kind: a key of `SOURCES`.
        options: keyword arguments of its class. Secrets are never among them: they come from the environment.

    Raises:
        SourceError: an unknown source, or options that it does not take.
    """
    return _create(SOURCES, kind, options or {})


def basis_of(kind: str) -> PriceBasis:
    """The price basis of a built-in source, whatever its options."""
    return getattr(import_module(f"{__name__}.{kind}"), SOURCES[kind]).basis


def create_facts_source(kind: str, options: Mapping[str, Any] | None = None) -> FactsSource:
    """The source of macro or company facts that a configuration names; as `create_source`, of `FACTS_SOURCES`."""
    return _create(FACTS_SOURCES, kind, options or {})


def _create(classes: Mapping[str, str], kind: str, options: Mapping[str, Any]) -> Any:
    if kind not in classes:
        raise SourceError(f"unknown source {kind!r}; there are {', '.join(classes)}")
    source_class = getattr(import_module(f"{__name__}.{kind}"), classes[kind])
    try:
        inspect.signature(source_class).bind(**options)
    except TypeError as error:
        raise SourceError(f"source {kind}: {error}") from error
    return source_class(**options)
