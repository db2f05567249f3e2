"""A bundle's manifest: where a bundle comes from and what it was judged to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from regime_assets.library.production.names import checked_name, model_name

Serves = Literal["rule", "policy"]


@dataclass(frozen=True)
class Manifest:
    """What is known of a bundle besides its arrays. All of it is covered by the bundle's hash.

    Attributes:
        universe: the universe's name.
        horizon: the window's name, `short` or `long`.
        session: the partition: the newest session that the fit has seen.
        traded: symbols in the order of the policy's weights.
        serves: whether the learned policy or the regime rule decides; the gate's choice.
        data_hash: hash of the window that the bundle was fitted on.
        settings_hash: hash of all settings of the fit.
        code_version: version of the code that fitted it.
        seeds: the seed of each fitted component.
        parents: hash of the object that each component was warm-started from; a cold start has no entry.
        metrics: figures of the fit and the backtest; None where one could not be measured.
        verdict: how its acceptance rules and its gate were answered, in one line.
        environment: versions of what decides the bits and the lock file's hash (`environment_versions`).
    """

    universe: str
    horizon: str
    session: date
    traded: tuple[str, ...]
    serves: Serves
    data_hash: str
    settings_hash: str
    code_version: str
    seeds: Mapping[str, int]
    parents: Mapping[str, str]
    metrics: Mapping[str, float | None]
    verdict: str
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        checked_name(self.universe, "universe")
        checked_name(self.horizon, "horizon")
        if self.serves not in ("rule", "policy"):
            raise ValueError(f"a bundle serves 'rule' or 'policy', not {self.serves!r}")
        if not self.traded:
            raise ValueError("a bundle names the symbols that it trades; there are none")

    @property
    def model_name(self) -> str:
        """The registered model that the bundle is a version of."""
        return model_name(self.universe, self.horizon)

    def to_document(self) -> dict[str, Any]:
        """The manifest as JSON values."""
        return {
            "universe": self.universe,
            "horizon": self.horizon,
            "session": self.session.isoformat(),
            "traded": list(self.traded),
            "serves": self.serves,
            "data_hash": self.data_hash,
            "settings_hash": self.settings_hash,
            "code_version": self.code_version,
            "seeds": dict(self.seeds),
            "parents": dict(self.parents),
            "metrics": dict(self.metrics),
            "verdict": self.verdict,
            "environment": dict(self.environment),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Manifest:
        """The manifest that `to_document` took apart.

        Raises:
            KeyError, TypeError, ValueError: the document is not one of a manifest.
        """
        fields = dict(document)
        fields["session"] = date.fromisoformat(fields["session"])
        fields["traded"] = tuple(fields["traded"])
        return cls(**fields)
