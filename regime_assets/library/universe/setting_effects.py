"""What a change of each setting of a universe file means for its models and their record.

Every setting has exactly one of three effects, and a test holds this table complete. A settings class below a section
shares the section's effect unless a setting of it is named by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Effect = Literal["design", "record", "neither"]
"""`design`: other models, which start a line of their own and have to prove themselves as a challenger. `record`: the
same design; its record is scored or goes on in another way, and the champion stays. `neither`: no model changes, and no
figure of the record."""

EFFECTS: Mapping[str, Effect] = {
    "name": "record",
    "description": "neither",
    "owners": "neither",
    "source.kind": "design",
    "source.options": "neither",
    "source.options.basis": "design",
    "calendar": "design",
    "history_start": "design",
    "first_partition": "record",
    "last_partition": "neither",
    "symbols": "design",
    "traded": "design",
    "traded.cost_bp": "record",
    "portfolio.allocation": "design",
    "portfolio.allocation_sessions": "design",
    "portfolio.by_regime": "design",
    "portfolio.risk_on": "design",
    "portfolio.risk_off": "design",
    "portfolio.no_trade_band": "record",
    "portfolio.cash": "record",
    "portfolio.borrowing.most": "design",
    "portfolio.borrowing.rate": "record",
    "portfolio.shorting.most": "design",
    "portfolio.shorting.rate": "record",
    "macro.kind": "neither",
    "macro.series": "neither",
    "macro.features": "design",
    "macro.options": "neither",
    "fundamentals.kind": "neither",
    "fundamentals.symbols": "neither",
    "fundamentals.features": "design",
    "fundamentals.options": "neither",
    "stream": "neither",
    "cost_bp": "record",
    "sessions_per_year": "record",
    "windows": "design",
    "refit.every": "record",
    "refit.full_retrain": "record",
    "refit.policy_updates": "design",
    "refit.backfill_sessions_per_run": "neither",
    "walk_forward": "record",
    "schedule": "neither",
    "reports": "neither",
    "quality": "neither",
    "design": "design",
    "challengers": "neither",
    "gate": "neither",
    "stability": "record",
    "accept": "record",
    "suspended": "record",
    "renamed": "record",
    "signal": "neither",
    "orders": "neither",
    "alerts": "neither",
}
"""Setting, or section → its effect. The longest name that a setting begins with is the one that counts."""


def effect_of(setting: str) -> Effect:
    """The effect of a setting by its dotted name.

    Raises:
        KeyError: the table does not know it.
    """
    name = setting
    while name:
        if name in EFFECTS:
            return EFFECTS[name]
        name = name.rpartition(".")[0]
    raise KeyError(setting)
