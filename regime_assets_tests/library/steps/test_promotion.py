from __future__ import annotations

from regime_assets.library.steps.judgement import Judgement
from regime_assets.library.steps.promotion import version_tags
from regime_assets_tests.library.production.bundles import manifest


def test_a_version_shows_where_it_comes_from_and_what_the_gate_said() -> None:
    judgement = Judgement("refresh", "hold", "drawdown 0.4 > 0.3", "rule", 7, {}, ())
    origin = manifest(parents={"vae": "a" * 64}, environment={"lock": "requirements.lock 12ab"})
    tags = version_tags(origin, judgement)
    assert (tags["verdict"], tags["reason"], tags["lane"]) == ("hold", "drawdown 0.4 > 0.3", "refresh")
    assert tags["data_hash"] == origin.data_hash
    assert tags["environment"] == "requirements.lock 12ab"
    assert tags["parents"] == f'{{"vae": "{"a" * 64}"}}'
    assert tags["seeds"] == '{"vae": 1}'
    assert all(isinstance(value, str) for value in tags.values())
