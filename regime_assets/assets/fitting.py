"""Assets that fit a model: each starts from its last accepted version, and leaves the same things behind.

Belongs here: record, rule outcomes, curves, MLflow figures and metadata of a fit. Does not belong here: what is fitted.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.lane import Lane, RefitConfig, sessions_of
from regime_assets.metadata import figures, rules
from regime_assets.resources import DataHome

if TYPE_CHECKING:
    from regime_assets.library.production.lineage import Lineage
    from regime_assets.library.steps.fits import Refit
    from regime_assets.library.workspace import Workspace

Fit = Callable[["Workspace", Any, date, bool], "Refit[Any]"]
"""(workspace, horizon, session, full_retrain) → the refitted model."""

Pictures = Callable[["Refit[Any]"], Mapping[str, dg.MetadataValue]]


def fitting_asset(
    lane: Lane, name: str, *, description: str | None, kinds: set[str], after: str, fit: Fit, pictures: Pictures
) -> dg.AssetsDefinition:
    """An asset that fits the model `name` on what `after` made.

    Args:
        lane: the horizon.
        name: the asset's name, under which its models are recorded.
        description: what the UI shows.
        kinds: the UI's labels.
        after: the asset before it.
        fit: fits one session's model.
        pictures: what the UI shows of a fit.
    """

    @dg.asset(
        **lane.declare(name, kinds=kinds, deps=[lane.key(after), lane.after_itself(name)], description=description)
    )
    def asset(
        context: dg.AssetExecutionContext, config: RefitConfig, data: DataHome, mlflow: dg.ResourceParam[Any]
    ) -> None:
        workspace = data.workspace(lane.universe)
        for session in sessions_of(context):
            fitted = fit(workspace, lane.horizon, session, config.full_retrain)
            record_fit(context, lane, workspace.lineage(lane.horizon), fitted, mlflow, pictures(fitted))

    return asset


def record_fit(
    context: dg.AssetExecutionContext,
    lane: Lane,
    lineage: "Lineage",
    fitted: "Refit[Any]",
    mlflow: Any,
    pictures: Mapping[str, dg.MetadataValue],
) -> None:
    """Store a fitted model with its verdict and show it in Dagster and MLflow."""
    from regime_assets.library.production.tracked_fit import track_fit

    fit = fitted.fit
    record = lineage.record(fitted.record, fit.model.to_parts(), fitted.outcomes)
    name = f"{lane.horizon}.{record.kind}"
    step = record.session.toordinal()
    mlflow.log_metrics({f"{name}.{key}": float(value) for key, value in fit.figures.items()}, step=step)
    curves = getattr(fit, "curves", None)
    if curves is not None:
        lineage.record_curves(record.kind, record.session, curves)
    track_fit(mlflow, name, record, fit.figures, curves)
    if not record.accepted:
        context.log.warning(f"{record.kind} of {record.session} is not accepted: {record.refusal}")
    metadata: dict[str, Any] = {
        **figures(fit.figures),
        **pictures,
        "accepted": dg.MetadataValue.bool(record.accepted),
        "warm_started": dg.MetadataValue.bool(record.warm_started),
        "parent": dg.MetadataValue.text(record.parent or "none: trained from scratch"),
        "sha256": dg.MetadataValue.text(record.sha256),
        "rules": rules(fitted.outcomes),
    }
    context.add_asset_metadata(metadata, partition_key=record.session.isoformat())
