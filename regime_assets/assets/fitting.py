"""Assets that fit a model: each fits its kind by the recipe and shows what came out.

Belongs here: MLflow figures and metadata of a fit. Does not belong here: what is fitted, and how it is stored.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.lane import Lane, RefitConfig, reported, sessions_of
from regime_assets.library.model_kinds import RETRAINED, Kind
from regime_assets.metadata import figures, rules
from regime_assets.resources import DataHome

if TYPE_CHECKING:
    from regime_assets.library.production.tracked_fit import TrackedFit
    from regime_assets.library.recipe import Fitted
    from regime_assets.library.steps.fits import StoredFit

Pictures = Callable[["Fitted[Any]"], Mapping[str, dg.MetadataValue]]


def fitting_asset(
    lane: Lane, kind: Kind, *, description: str | None, labels: set[str], after: dg.AssetKey, pictures: Pictures
) -> dg.AssetsDefinition:
    """An asset that fits the session's model of one kind.

    Args:
        lane: the horizon and the design.
        kind: the asset's name, under which its models are recorded.
        description: what the UI shows.
        labels: the UI's kinds.
        after: the asset before it.
        pictures: what the UI shows of a fit, where a run has pictures.
    """

    declared = lane.declare(kind, kinds=labels, deps=[after], description=description)

    def run(context: dg.AssetExecutionContext, data: DataHome, mlflow: Any, *, full_retrain: bool = False) -> None:
        from regime_assets.library.production.tracked_fit import figures_together, fits_together
        from regime_assets.library.steps.admission import NotAdmittedError
        from regime_assets.library.steps.fits import Unfitted, fit

        workspace = data.workspace(lane.universe, lane.design)
        drawn = reported(lane, context)
        with figures_together(mlflow) as take, fits_together(mlflow) as track:
            for session in sessions_of(context):
                try:
                    done = fit(workspace, lane.horizon, session, kind, full_retrain=full_retrain)
                except NotAdmittedError as error:
                    raise dg.Failure(str(error), allow_retries=False) from error
                if isinstance(done, Unfitted):
                    context.log.warning(f"{kind} of {session} is not fitted: {done.reason}")
                    metadata = {
                        "accepted": dg.MetadataValue.bool(False),
                        "not_fitted": dg.MetadataValue.text(done.reason),
                    }
                else:
                    named = {f"{lane.label}.{kind}.{key}": value for key, value in done.fitted.fit.figures.items()}
                    take(named, session.toordinal())
                    metadata = _shown(context, lane, done, track, curves=session in drawn)
                    metadata |= pictures(done.fitted) if session in drawn else {}
                context.add_asset_metadata(metadata, partition_key=session.isoformat())

    if kind in RETRAINED:

        @dg.asset(**declared)
        def retrained(
            context: dg.AssetExecutionContext, config: RefitConfig, data: DataHome, mlflow: dg.ResourceParam[Any]
        ) -> None:
            run(context, data, mlflow, full_retrain=config.full_retrain)

        return retrained

    @dg.asset(**declared)
    def following(context: dg.AssetExecutionContext, data: DataHome, mlflow: dg.ResourceParam[Any]) -> None:
        run(context, data, mlflow)

    return following


def _shown(
    context: dg.AssetExecutionContext,
    lane: Lane,
    done: "StoredFit",
    track: "Callable[[TrackedFit], None]",
    *,
    curves: bool,
) -> dict[str, Any]:
    """Have a stored fit logged in MLflow, with or without its training curves; return what Dagster shows of it."""
    from regime_assets.library.production.tracked_fit import TrackedFit

    fit, record = done.fitted.fit, done.record
    name, drawn = f"{lane.label}.{record.kind}", getattr(fit, "curves", None) if curves else None
    track(TrackedFit(name, record, fit.figures, drawn))
    for note in done.fitted.notes:
        context.log.warning(note)
    if not record.accepted:
        context.log.warning(f"{record.kind} of {record.session} is not accepted: {record.refusal}")
    metadata: dict[str, Any] = {
        **figures(fit.figures),
        "accepted": dg.MetadataValue.bool(record.accepted),
        "warm_started": dg.MetadataValue.bool(record.warm_started),
        "parent": dg.MetadataValue.text(record.parent or "none: trained from scratch"),
        "sha256": dg.MetadataValue.text(record.sha256),
        "rules": rules(done.fitted.outcomes),
    }
    if done.fitted.notes:
        metadata["notes"] = dg.MetadataValue.text("; ".join(done.fitted.notes))
    return metadata
