"""The figures behind a report: a folder of CSV files and one JSON file beside the HTML, for whoever computes on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regime_assets.library.report.content import ReportContent
from regime_assets.library.shared_files import write_file

DIGITS = 10  # significant; more than any figure here is known to


def data_folder(report: Path) -> Path:
    """Where the figures of a report lie."""
    return report.with_suffix(".data")


def report_tables(content: ReportContent) -> dict[str, pd.DataFrame]:
    """Every table and series of a report by name; those that the report leaves out are left out."""
    tables: dict[str, pd.DataFrame] = {}
    if content.rows:
        tables["comparison"] = pd.DataFrame([_row(content, number) for number in range(len(content.rows))])
    if content.net:
        tables["net_returns"] = pd.DataFrame(dict(content.net)).rename_axis("session").reset_index()
    if content.weights is not None:
        tables["weights"] = content.weights.rename_axis("session").reset_index()
    if content.regimes is not None:
        history = content.regimes
        regimes = pd.DataFrame({"market": history.prices, "regime": np.take(history.names, history.states)})
        for number, name in enumerate(history.names if history.posteriors is not None else ()):
            assert history.posteriors is not None, "narrowed above"
            regimes[f"probability_{name}"] = history.posteriors[:, number]
        for number in range(0 if history.latents is None else history.latents.shape[1]):
            assert history.latents is not None, "narrowed above"
            regimes[f"latent_{number}"] = history.latents[:, number]
        tables["regimes"] = regimes.rename_axis("session").reset_index()
        if history.pulls is not None:
            tables["pulls"] = history.pulls.rename_axis("session").reset_index()
    if content.signal:
        tables["signal"] = pd.DataFrame(
            [(fact.label, fact.value) for fact in content.signal], columns=["figure", "value"]
        )
    if content.vae_curves is not None:
        tables["vae_curves"] = content.vae_curves
    if content.policy_curves is not None:
        tables["policy_curves"] = content.policy_curves
    if content.rules:
        tables["gate"] = pd.DataFrame([asdict(rule) for rule in content.rules])
    return tables


def write_data_files(content: ReportContent, report: Path) -> None:
    """Write the figures of a backtest report beside it."""
    said = {
        "title": content.title,
        "universe": content.universe,
        "horizon": content.horizon,
        "as_of": content.as_of.isoformat(),
        "verdict": content.verdict,
        "facts": {fact.label: fact.value for fact in content.facts},
        "notes": list(content.notes),
        "absent": dict(content.absent),
        "provenance": dict(content.provenance),
    }
    write_figures(report, report_tables(content), said)


def write_figures(report: Path, tables: Mapping[str, pd.DataFrame], said: Mapping[str, Any]) -> None:
    """Write `<report>.data/`: a CSV file a table, and `figures.json` with the tables and what the report says besides.

    Each file is at any time the old or the whole new one.
    """
    folder = data_folder(report)
    for name, table in tables.items():
        text = table.to_csv(index=False, date_format="%Y-%m-%d", float_format=f"%.{DIGITS}g")
        write_file(folder / f"{name}.csv", text.encode())
    document = {**said, "tables": {name: table_document(table) for name, table in tables.items()}}
    write_file(folder / "figures.json", json.dumps(document, allow_nan=False).encode())


def table_document(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Column → values, as JSON values: days as ISO text, what is not a number as null."""
    return {str(name): [_plain(value) for value in table[name].tolist()] for name in table.columns}


def _row(content: ReportContent, number: int) -> Mapping[str, Any]:
    row = content.rows[number]
    low, high = row.sharpe_interval or (None, None)
    difference = row.difference
    return {
        "strategy": row.name,
        **row.summary.as_dict(),
        "sharpe_low": low,
        "sharpe_high": high,
        f"sharpe_less_{content.reference}": None if difference is None else difference.value,
        "difference_low": None if difference is None else difference.low,
        "difference_high": None if difference is None else difference.high,
    }


def _plain(value: Any) -> Any:
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return value
