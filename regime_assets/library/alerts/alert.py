"""One thing that a person must hear of, and how it reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST_REASON = 600
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Alert:
    """One event, told once.

    Attributes:
        id: names the event; equal for equal events.
        kind: a run that failed for good, or a decision that wants a person.
        universe: whose event.
        happened: when, ISO 8601 in UTC.
        asset: where: an asset's path, or those of a run's failed steps.
        session: the partition; empty when there is none.
        run_id: the Dagster run; empty when there is none.
        decision: what was decided; empty for a failure.
        reason: why, shortened.
        link: the page in the Dagster UI.
    """

    id: str
    kind: Literal["run failed", "decision"]
    universe: str
    happened: str
    asset: str
    session: str
    run_id: str
    decision: str
    reason: str
    link: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The alert that `asdict` flattened."""
        return cls(**values)

    @property
    def subject(self) -> str:
        """One line without line breaks."""
        what = f"{self.decision}: {self.asset}" if self.kind == "decision" else f"run failed: {self.asset}"
        return " ".join(f"[{self.universe}] {what} {self.session}".split())

    @property
    def digest(self) -> str:
        """The id as 32 hexadecimal digits, for headers."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:32]


def shortened(reason: str) -> str:
    """At most `LONGEST_REASON` characters, without control characters besides line breaks."""
    printable = "".join(character for character in reason.strip() if character.isprintable() or character == "\n")
    return printable if len(printable) <= LONGEST_REASON else f"{printable[:LONGEST_REASON]}…"


def slack_text(alert: Alert) -> str:
    """The alert in Slack's markup; whatever is filled in is escaped."""
    return _environment().get_template("slack.txt").render(alert=alert)


def mail_text(alert: Alert) -> str:
    """The alert as plain text."""
    return _plain().get_template("mail.txt").render(alert=alert)


def webhook_body(alert: Alert) -> dict[str, str]:
    """The alert's fields, and `text`, which chat servers with Slack-like webhooks show."""
    return {**asdict(alert), "text": slack_text(alert)}


def escape_slack(value: object) -> str:
    """The three characters that Slack's markup gives a meaning: without them nothing is a link or a mention."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@cache
def _environment() -> Environment:
    """Every value that a template fills in passes `escape_slack`, so that no template can forget it."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(_TEMPLATES)
    return Environment(loader=loader, undefined=StrictUndefined, finalize=escape_slack, trim_blocks=True)


@cache
def _plain() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True)
