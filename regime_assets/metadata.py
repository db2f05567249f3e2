"""How results look in the Dagster UI: numbers that plot over partitions, tables, pictures and links."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.figure_units import told_units
from regime_assets.library.acceptance import RuleOutcome

if TYPE_CHECKING:
    import pandas as pd

PAGES = "/regime-assets"  # where `web_server` puts the data folder's pages, on the UI's own host and port


def figures(values: Mapping[str, float | int | None]) -> dict[str, dg.MetadataValue]:
    """Finite numbers as metadata that the UI plots over partitions, and their units; what is not known is left out.

    Six significant digits: the UI prints all that it is given, and no figure here is known to more.
    """
    shown: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(float(f"{value:.6g}"))
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }
    units = told_units(shown)
    return shown | ({"units": dg.MetadataValue.text(units)} if units else {})


def picture(svg: str, alt: str) -> dg.MetadataValue:
    """A drawing that the UI shows in place."""
    from regime_assets.library.report.figures import markdown_picture

    return dg.MetadataValue.md(markdown_picture(svg, alt))


def rules(outcomes: Iterable[RuleOutcome]) -> dg.MetadataValue:
    """A table of rules, values, bounds and outcomes."""
    records = [
        dg.TableRecord(
            {
                "rule": outcome.rule,
                "outcome": "passed" if outcome.passed else "FAILED" if outcome.blocking else "warning",
                "value": "" if outcome.value is None else f"{outcome.value:.4g}",
                "bound": outcome.bound,
                "detail": outcome.detail,
            }
        )
        for outcome in outcomes
    ]
    names = ("rule", "outcome", "value", "bound", "detail")
    return dg.MetadataValue.table(records, _text_schema(names))


def table(frame: pd.DataFrame, most: int = 50) -> dg.MetadataValue:
    """The first `most` rows of a frame as a table of text."""
    names = [str(name) for name in frame.columns]
    records = [
        dg.TableRecord({name: _text(value) for name, value in zip(names, row, strict=True)})
        for row in frame.head(most).itertuples(index=False)
    ]
    return dg.MetadataValue.table(records, _text_schema(names))


def report_link(report: Path) -> dg.MetadataValue:
    """A report, as a link that the web server which shows it answers, wherever it and the data folder move."""
    universe, horizon, name = report.parts[-3:]
    return dg.MetadataValue.url(f"{PAGES}/reports/{universe}/{horizon}/{name}")


def column_schema(columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """`dagster/column_schema` metadata from name → (type, description)."""
    schema = dg.TableSchema(
        [dg.TableColumn(name, type=kind, description=text) for name, (kind, text) in columns.items()]
    )
    return {"dagster/column_schema": schema}


def _text_schema(names: Sequence[str]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, type="string") for name in names])


def _text(value: Any) -> str:
    """A cell: numbers to six digits, a day without a time of day, nothing for what is not there."""
    if value is None or str(value) == "NaT":
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value).removesuffix(" 00:00:00")
