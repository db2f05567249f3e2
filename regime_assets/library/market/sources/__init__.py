"""Sources of market data, named in a universe's configuration; each is imported when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
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
ENTRY_POINTS = ("regime_assets.sources", "regime_assets.facts")
"""Groups under which an installed package registers sources of prices and of facts, by name."""
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
    registered = {entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS[classes is FACTS_SOURCES])}
    path = registered.get(kind, kind)
    module_name, _, name = path.partition(":")
    if not name:
        known = ", ".join((*classes, *sorted(registered)))
        raise SourceError(f"unknown source {kind!r}; there are {known}, or name your own as package.module:Class")
    try:
        return getattr(import_module(module_name), name)
    except ImportError as error:
        raise SourceError(
            f"source {kind}: {error}; install the package that holds {module_name}, or put its folder on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise SourceError(f"source {kind}: {module_name} has no {name}") from error
