"""Fitted models in memory: the newest accepted one of each kind, which is all that the next refit needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from regime_assets.library.encoders.encoding import Encoder
from regime_assets.library.model_kinds import Kind
from regime_assets.library.recipe import Ancestor, Fitted, NotAcceptedError
from regime_assets.library.regimes.regime_model import RegimePath


class MemoryModels:
    """A `ModelStore` in memory.

    Args:
        ancestors: the newest accepted models of a run that is continued; none at a start.
    """

    def __init__(self, ancestors: Mapping[Kind, Ancestor] | None = None) -> None:
        self._newest: dict[Kind, Ancestor] = dict(ancestors or {})
        self._paths: dict[date, RegimePath] = {}

    @property
    def newest(self) -> dict[Kind, Ancestor]:
        """The newest accepted model of each kind."""
        return dict(self._newest)

    def ancestor(self, kind: Kind, before: date) -> tuple[Ancestor | None, tuple[str, ...]]:
        """The newest accepted model of an earlier session; memory loses none."""
        newest = self._newest.get(kind)
        return (newest if newest and newest.session < before else None), ()

    def accepted(self, kind: Kind, session: date) -> Any:
        """The session's own model."""
        newest = self._newest.get(kind)
        if newest is None or newest.session != session:
            raise NotAcceptedError(f"{kind} of {session} was not accepted")
        return newest.model

    def path(self, session: date) -> RegimePath:
        """What the session's own regimes say of its window."""
        self.accepted("gmm", session)
        return self._paths[session]

    def keep(self, fitted: Fitted[Any]) -> None:
        """Keep an accepted model; a refused one leaves the one before in its place."""
        if not fitted.accepted:
            return
        model = fitted.fit.model
        if fitted.kind == "latents":
            model = Encoder(self.accepted("vae", fitted.session), model)
        if fitted.kind == "gmm" and fitted.path is not None:
            self._paths = {fitted.session: fitted.path}
        self._newest[fitted.kind] = Ancestor(fitted.session, model)
