"""Sources of market data, named in a universe's configuration; each is imported when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from regime_assets.library.components import ComponentError, class_path, load_class
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
        kind: a key of `SOURCES`, a name of the entry-point group `regime_assets.sources`, or `package.module:Class`.
        options: keyword arguments of its class. Secrets are never among them: they come from the environment.

    Raises:
        SourceError: an unknown source, or options that it does not take.
    """
    return _create(SOURCES, kind, options or {}, ("name", "fields", "basis", "fetch"))


def basis_of(kind: str) -> PriceBasis:
    """The price basis of a built-in source, whatever its options."""
    return getattr(import_module(f"{__name__}.{kind}"), SOURCES[kind]).basis


def create_facts_source(kind: str, options: Mapping[str, Any] | None = None) -> FactsSource:
    """The source of macro or company facts that a configuration names; as `create_source`, of `FACTS_SOURCES`."""
    return _create(FACTS_SOURCES, kind, options or {}, ("name", "fetch_facts"))


def _create(classes: Mapping[str, str], kind: str, options: Mapping[str, Any], attributes: Sequence[str]) -> Any:
    source_class = _source_class(classes, kind)
    try:
        inspect.signature(source_class).bind(**options)
    except TypeError as error:
        raise SourceError(f"source {kind}: {error}") from error
    source = source_class(**options)
    absent = [name for name in attributes if not hasattr(source, name)]
    if absent:
        raise SourceError(f"source {kind} has no {', '.join(absent)}; docs/extending.md shows a whole source")
    return source


def _source_class(classes: Mapping[str, str], kind: str) -> Any:
    """The class of a built-in name, of a name that an installed package registers, or at `package.module:Class`."""
    if kind in classes:
        return getattr(import_module(f"{__name__}.{kind}"), classes[kind])
    try:
        return load_class(class_path("facts" if classes is FACTS_SOURCES else "sources", kind))
    except ComponentError as error:
        built_in = "" if ":" in kind else f"; built in are {', '.join(classes)}"
        raise SourceError(f"unknown source {kind!r}: {error}{built_in}") from error
