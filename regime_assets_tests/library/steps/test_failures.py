"""A failed step is remembered until it succeeds."""

from datetime import date
from pathlib import Path

from regime_assets.library.home import Home
from regime_assets.library.steps.failures import forget_failure, record_failure, recorded_failures

MONDAY, TUESDAY = date(2024, 3, 18), date(2024, 3, 19)


def test_a_failure_is_kept_with_what_to_do_until_the_step_succeeds(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert recorded_failures(home, "us") == ()
    forget_failure(home, "us", "us/raw_prices", MONDAY)
    record_failure(home, "us", "us/raw_prices", MONDAY, "KO lacks a bar")
    record_failure(home, "us", "us/long/vae", MONDAY, "it exploded")
    record_failure(home, "us", "us/raw_prices", TUESDAY, "KO lacks two bars")
    found = recorded_failures(home, "us")
    assert [(each.session, each.what) for each in found] == [
        (TUESDAY, "us/raw_prices failed"),
        (MONDAY, "us/long/vae failed"),
    ]
    assert "regime-assets quarantine us" in found[0].todo
    forget_failure(home, "us", "us/raw_prices", MONDAY)
    assert len(recorded_failures(home, "us")) == 2, "an earlier session that succeeds mends nothing"
    forget_failure(home, "us", "us/raw_prices", TUESDAY)
    assert [each.what for each in recorded_failures(home, "us")] == ["us/long/vae failed"]
