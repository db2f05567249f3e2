"""The model card of a bundle: what it is, on what it rests, how it did, where it ends; as Markdown for people.

It stands beside the bundle and as the version's description in MLflow. It says nothing that is not stored elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.atomic_files import write_file_atomically
from regime_assets.library.production.manifest import Manifest
from regime_assets.library.report.data_files import data_folder
from regime_assets.library.shared_files import read_file
from regime_assets.library.steps.judgement import Judgement
from regime_assets.library.universe import Horizon, Universe
from regime_assets.library.workspace import Workspace

HORIZONS_IN_WORDS = {"short": "a rolling window", "long": "all history, recent sessions weighing more"}
MOST_SYMBOLS = 30  # named one by one


def publish_card(workspace: Workspace, manifest: Manifest, judgement: Judgement, version: int) -> Path:
    """Write the card of a registered bundle and show it in MLflow; return the file."""
    horizon: Horizon = "short" if manifest.horizon == "short" else "long"
    report = workspace.report(horizon, "backtest", manifest.session)
    compared = _comparison(data_folder(report) / "figures.json")
    card = model_card(workspace.universe, manifest, judgement, version, compared)
    built = workspace.home.bundle(manifest.universe, horizon, manifest.settings_hash, manifest.session)
    path = built.with_suffix(".md")
    write_file_atomically(path, card.encode())
    workspace.registry.describe(manifest.model_name, version, card)
    return path


def model_card(
    universe: Universe,
    manifest: Manifest,
    judgement: Judgement,
    version: int,
    compared: Iterable[Mapping[str, Any]] = (),
) -> str:
    """The card as Markdown.

    Args:
        universe: whose model it is.
        manifest: of the bundle.
        judgement: the gate's answer.
        version: in the registry.
        compared: the backtest's comparison, a mapping a strategy; empty when it is not at hand.
    """
    decides = "a learned policy" if manifest.serves == "policy" else "a fixed rule of the regime"
    symbols = ", ".join(universe.symbols[:MOST_SYMBOLS]) + (" …" if len(universe.symbols) > MOST_SYMBOLS else "")
    parts = [
        f"# {manifest.model_name}, version {version}",
        f"Fitted at the close of {manifest.session} on {HORIZONS_IN_WORDS[manifest.horizon]}. Reads the market's "
        f"regime and sets the share of capital held in {', '.join(manifest.traded)}; {decides} decides it.",
        "## Data",
        f"- Universe `{manifest.universe}`: {universe.description or 'no description'}\n"
        f"- {len(universe.symbols)} symbols watched: {symbols}\n"
        f"- Source `{universe.source.kind}`, calendar {universe.calendar}, history from {universe.history_start}\n"
        f"- Window `{manifest.data_hash}`",
        "## Design",
        f"- Settings `{manifest.settings_hash}`, code `{manifest.code_version}`\n"
        + "\n".join(f"- {part}: seed {seed}" for part, seed in manifest.seeds.items()),
        "## How it did, on sessions that it had not seen",
        _metrics(judgement, compared, universe),
        "## Verdict",
        f"**{judgement.lane}: {judgement.outcome}.** {judgement.reason}.\n\n{_rules(judgement.rules)}",
        "## Limits",
        "- Daily closing prices only. It knows nothing of a day before its close, and its weights are filled a session "
        "later.\n"
        "- Two years of daily data cannot prove a difference of less than about one in Sharpe ratio.\n"
        "- Its regimes describe the prices above. On other instruments, or after a change of the market that the drift "
        "report finds, they mean nothing until it is trained again.\n"
        "- No advice to invest: past figures promise nothing.",
        "## Lineage",
        "\n".join(f"- {part}: warm start from `{parent}`" for part, parent in manifest.parents.items())
        or "- everything was trained from scratch",
        "\n".join(f"- {name} {value}" for name, value in manifest.environment.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _metrics(judgement: Judgement, compared: Iterable[Mapping[str, Any]], universe: Universe) -> str:
    sessions = judgement.figures.get("out_of_sample_sessions")
    lead = f"{sessions or 0:.0f} sessions, net of {universe.cost_bp:g} basis points one way.\n\n"
    rows = [
        (
            str(row["strategy"]),
            _number(row["sharpe"]) + _between(row.get("sharpe_low"), row.get("sharpe_high")),
            _share(row["max_drawdown"]),
            _share(row["cagr"]),
            _share(row["volatility"]),
        )
        for row in compared
    ]
    if rows:
        return lead + _table(("strategy", "Sharpe [95 %]", "deepest drawdown", "a year", "volatility"), rows)
    figures = [(name.replace("_", " "), _number(value)) for name, value in judgement.figures.items()]
    return lead + _table(("figure", "value"), figures)


def _rules(rules: Iterable[RuleOutcome]) -> str:
    rows = [
        (
            outcome.rule.replace("_", " "),
            "passed" if outcome.passed else "blocks" if outcome.blocking else "warning",
            _number(outcome.value),
            outcome.bound,
        )
        for outcome in rules
    ]
    return _table(("rule", "outcome", "value", "bound"), rows)


def _table(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [names, tuple("---" for _ in names), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _comparison(figures: Path) -> list[dict[str, Any]]:
    """The rows of a backtest's comparison; none where the report was written without its figures."""
    try:
        columns: dict[str, list[Any]] = json.loads(read_file(figures))["tables"].get("comparison", {})
    except FileNotFoundError:
        return []
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"
