"""Fitting one model of one session by the recipe, from the stored window, and storing it with its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from regime_assets.library.cadence import full_retrain_due
from regime_assets.library.determinism import derive_seed
from regime_assets.library.model_kinds import KINDS, Kind
from regime_assets.library.production.lineage import ModelRecord
from regime_assets.library.recipe import Fitted, NotAcceptedError, SessionFit, fit_model
from regime_assets.library.steps.admission import require_admitted
from regime_assets.library.steps.declared_design import declare
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


@dataclass(frozen=True)
class StoredFit:
    """A fitted model as it was stored."""

    fitted: Fitted[Any]
    record: ModelRecord


@dataclass(frozen=True)
class Unfitted:
    """A model that was not fitted, because what it stands on was not accepted."""

    kind: Kind
    session: date
    reason: str


def fit(
    workspace: Workspace, horizon: Horizon, session: date, kind: Kind, *, full_retrain: bool = False
) -> StoredFit | Unfitted:
    """Fit and store one model of a session. The first of them counts the design in the ledger, whatever comes of it.

    Args:
        full_retrain: from scratch although it is not due.

    Raises:
        NotMaterializedError: the session's window was not materialized.
        NotAdmittedError: a feature or an encoder of the user's own breaks a promise.
    """
    if kind == KINDS[0]:
        declare(workspace, horizon, "daily")
        require_admitted(workspace, session)
    lineage = workspace.lineage(horizon)
    models = LineageModels(lineage)
    try:
        with lineage.at_once():
            at = session_fit(workspace, horizon, session, models, full_retrain=full_retrain)
            models.read_ahead(kind, session)
        fitted = fit_model(kind, at)
    except NotAcceptedError as error:
        lineage.record_unfitted(kind, session, str(error))
        return Unfitted(kind, session, str(error))
    return StoredFit(fitted, models.kept[kind])


def session_fit(
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    models: LineageModels | None = None,
    *,
    full_retrain: bool = False,
) -> SessionFit:
    """What the fits of one session share."""
    refit = workspace.universe.refit
    due = full_retrain_due(refit.full_retrain, session, workspace.calendar, refit.every.of(horizon))
    day = session.isoformat()
    return SessionFit(
        session=session,
        training=workspace.training_set(horizon, session),
        design=workspace.design,
        models=models or LineageModels(workspace.lineage(horizon)),
        seed_of=lambda asset: derive_seed(workspace.universe.name, horizon, day, asset),
        full_retrain=full_retrain or due,
        stability=workspace.universe.stability,
        infer=workspace.regime_path,
    )
