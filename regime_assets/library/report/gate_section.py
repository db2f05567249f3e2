"""The gate's part of a report: its badge and its section, which promotion fills in once the verdict is reached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regime_assets.library.acceptance import RuleOutcome, accepted
from regime_assets.library.report.content import Fact
from regime_assets.library.shared_files import read_file, write_file

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = Path(__file__).with_name("gate_section.html")


@dataclass(frozen=True)
class GateSection:
    """What a report says of the gate.

    Attributes:
        verdict: the answer in words; empty when there is none yet.
        reason: why, in one line.
        facts: what it was judged against, and what it promises.
        rules: every rule.
        absent: why there is no verdict; empty when there is one.
    """

    verdict: str = ""
    reason: str = ""
    facts: tuple[Fact, ...] = ()
    rules: tuple[RuleOutcome, ...] = ()
    absent: str = ""


def render_badge(section: GateSection) -> str:
    """The verdict beside the title."""
    from markupsafe import Markup

    if not section.verdict:
        return ""
    return str(Markup('&nbsp;<span class="badge {}">{}</span>').format(_tone(section.rules), section.verdict))


def render_gate(section: GateSection) -> str:
    """The section's HTML."""
    from markupsafe import Markup

    return _template().render(
        badge=Markup(render_badge(section)),
        absent=section.absent,
        reason=section.reason,
        facts=section.facts,
        rules=section.rules,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = environment.filters
    filters["measured"] = _measured
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def write_gate(section: GateSection, report: Path) -> None:
    """Put the verdict into a report that was written before it was reached; a report that is gone stays gone."""
    try:
        page = read_file(report).decode()
    except FileNotFoundError:
        return
    for name, text in (("badge", render_badge(section)), ("gate", render_gate(section))):
        before, _, rest = page.partition(f"<!--{name}-->")
        _, _, after = rest.partition(f"<!--/{name}-->")
        page = f"{before}<!--{name}-->{text}<!--/{name}-->{after}"
    write_file(report, page.encode())


def _tone(rules: tuple[RuleOutcome, ...]) -> str:
    """The class of the badge: good when every rule passed, bad when one blocks, else neutral."""
    if not accepted(rules):
        return "bad"
    return "good" if rules and all(rule.passed for rule in rules) else "neutral"


def _measured(value: float | None) -> str:
    """A number of unknown scale to four significant digits."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.4g}".replace("-", "−")
