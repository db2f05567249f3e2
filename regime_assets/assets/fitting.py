"""What every fitted model leaves behind: its record, the outcome of its rules, its MLflow figures, its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.library.acceptance import RuleOutcome
from regime_assets.metadata import figures, rules

if TYPE_CHECKING:
    import pandas as pd

    from regime_assets.library.artifact import Parts
    from regime_assets.library.production.lineage import Lineage, ModelRecord


class _Storable(Protocol):
    def to_parts(self) -> Parts: ...


class _Fit(Protocol):
    @property
    def model(self) -> _Storable: ...
    @property
    def figures(self) -> Mapping[str, float]: ...


def record_fit(
    context: dg.AssetExecutionContext,
    lane: Lane,
    lineage: Lineage,
    record: ModelRecord,
    fit: _Fit,
    outcomes: Sequence[RuleOutcome],
    mlflow: Any,
    pictures: Mapping[str, dg.MetadataValue],
) -> ModelRecord:
    """Store a fitted model with its verdict and show it in Dagster and MLflow."""
    stored = lineage.record(record, fit.model.to_parts(), outcomes)
    name = f"{lane.horizon}.{record.kind}"
    step = record.session.toordinal()
    mlflow.log_metrics({f"{name}.{key}": float(value) for key, value in fit.figures.items()}, step=step)
    curves: pd.DataFrame | None = getattr(fit, "curves", None)
    if curves is not None:
        lineage.record_curves(record.kind, record.session, curves)
        mlflow.log_table(curves, f"{name}/{record.session}/curves.json")
    if not stored.accepted:
        context.log.warning(f"{record.kind} of {record.session} is not accepted: {stored.refusal}")
    metadata: dict[str, Any] = {
        **figures(fit.figures),
        **pictures,
        "accepted": dg.MetadataValue.bool(stored.accepted),
        "warm_started": dg.MetadataValue.bool(stored.warm_started),
        "parent": dg.MetadataValue.text(stored.parent or "none: trained from scratch"),
        "sha256": dg.MetadataValue.text(stored.sha256),
        "rules": rules(outcomes),
    }
    context.add_asset_metadata(metadata, partition_key=record.session.isoformat())
    return stored
