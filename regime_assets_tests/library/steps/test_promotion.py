from __future__ import annotations

from regime_assets.library.steps.judgement import Judgement
from regime_assets.library.steps.promotion import version_tags
from regime_assets_tests.library.production.bundles import manifest


def test_a_version_shows_at_a_glance_what_the_gate_said_and_of_which_design_it_is() -> None:
    judgement = Judgement("refresh", "hold", "drawdown 0.4 > 0.3", "rule", 7, {}, ())
    origin = manifest()
    assert version_tags(origin, judgement) == {
        "verdict": "hold",
        "reason": "drawdown 0.4 > 0.3",
        "lane": "refresh",
        "serves": "rule",
        "settings_hash": origin.settings_hash,
    }
