"""Bars continue those that are stored only on the same price basis; what else changed is said."""

from __future__ import annotations

from collections.abc import Mapping

from regime_assets.library.market.price_basis import AskedWith, PriceBasisError
from regime_assets.library.market.sources import SOURCES, basis_of
from regime_assets.library.market.sources.base import Source
from regime_assets.library.workspace import Workspace


def asked_with(workspace: Workspace, source: Source, currencies: Mapping[str, str]) -> AskedWith:
    """What the universe's file asks for now."""
    universe = workspace.universe
    windows = universe.windows.model_dump() | {"first_partition": universe.first_partition.isoformat()}
    return AskedWith(
        source.name,
        source.basis,
        universe.calendar,
        universe.history_start.isoformat(),
        universe.instruments,
        windows,
        dict(currencies),
    )


def refuse_another_basis(workspace: Workspace, source: Source, before: AskedWith | None) -> None:
    """Prices as traded and prices that their vendor rewrites are not continued with each other.

    Raises:
        PriceBasisError: the stored bars have another basis than those of the source, or one that nobody has stated.
    """
    if before is None and source.name != "files" and "files" in workspace.market.sources():
        universe = workspace.universe.name
        raise PriceBasisError(
            f"{universe}: the stored bars came from files, and nobody has stated whether those were as traded or "
            f"adjusted by their vendor. Nothing was fetched. Put `source: {{kind: files, ...}}` back into the file, "
            f"with `adjusted: true` where they are adjusted, and run once: that is kept; or load the whole history "
            f"anew from {source.name} with `regime-assets reload {universe}`: earlier answers stay as they were"
        )
    stored = {before.source: before.basis} if before else _known_bases(workspace)
    for name, basis in stored.items():
        if basis != source.basis:
            universe = workspace.universe.name
            raise PriceBasisError(
                f"{universe}: the stored bars came from {name} and are {basis}, those of {source.name} are "
                f"{source.basis}; together they would hold a jump in every symbol. Nothing was fetched. Put the former "
                f"source back into the file, give the universe another name, or load its whole history anew from "
                f"{source.name} with `regime-assets reload {universe}`: earlier answers stay as they were"
            )


def _known_bases(workspace: Workspace) -> dict[str, str]:
    """Bases of what was stored before the basis was kept, by source; streams and own programs are of the source's."""
    return {name: basis_of(name) for name in workspace.market.sources() if name in SOURCES and name != "files"}
