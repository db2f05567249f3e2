"""What failed is remembered until it succeeds: steps, runs, jobs by hand, ticks of sensors."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from regime_assets.library.clock import clock
from regime_assets.library.home import HOME_VARIABLE, Home
from regime_assets.library.report.failures import (
    JOB,
    RUN,
    TICK,
    forget_failures,
    record_failure,
    recorded_failures,
)
from regime_assets.library.report.morning import Failure
from regime_assets.library.report.morning_files import published_mornings
from regime_assets.runs.failure_record import recorded_tick
from regime_assets_tests.library.report.mornings import a_morning

MONDAY, TUESDAY = date(2024, 3, 18), date(2024, 3, 19)


def test_a_failure_is_kept_with_what_to_do_until_the_step_succeeds(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert recorded_failures(home, "us") == ()
    forget_failures(home, "us", ("us/raw_prices",), MONDAY)
    record_failure(home, "us", "us/raw_prices", MONDAY, "KO lacks a bar")
    record_failure(home, "us", "us/long/vae", MONDAY, "it exploded")
    record_failure(home, "us", "us/raw_prices", TUESDAY, "KO lacks two bars")
    found = recorded_failures(home, "us")
    assert [(each.session, each.what) for each in found] == [
        (TUESDAY, "us/raw_prices failed"),
        (MONDAY, "us/long/vae failed"),
    ]
    assert "regime-assets quarantine us" in found[0].todo
    forget_failures(home, "us", ("us/raw_prices",), MONDAY)
    assert len(recorded_failures(home, "us")) == 2, "an earlier session that succeeds mends nothing"
    forget_failures(home, "us", ("us/raw_prices",), TUESDAY)
    assert [each.what for each in recorded_failures(home, "us")] == ["us/long/vae failed"]


def test_what_is_no_asset_is_told_for_a_week(tmp_path: Path) -> None:
    home = Home(tmp_path)
    record_failure(home, "us", f"{TICK} us_drift_sensor", MONDAY, "OSError: no such host")
    record_failure(home, "us", f"{JOB} us_roll_back", MONDAY, "no previous champion to roll back to")
    record_failure(home, "us", RUN, MONDAY, "process 7 is gone")
    with clock.at(datetime(2024, 3, 20, tzinfo=UTC)):
        told = {each.what: each.todo for each in recorded_failures(home, "us")}
    assert set(told) == {"us_drift_sensor failed", "us_roll_back failed", "the run failed"}
    assert "tried again by itself" in told["us_drift_sensor failed"]
    with clock.at(datetime(2024, 3, 28, tzinfo=UTC)):
        assert [each.what for each in recorded_failures(home, "us")] == ["the run failed"], (
            "its session is still missing"
        )


def test_the_pages_show_what_failed_since_they_were_written_and_no_more_what_was_mended(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.pages.mkdir()
    record_failure(home, "us", "us/raw_prices", MONDAY, "KO lacks a bar")
    refused = Failure(MONDAY, "the vae of the long horizon was not accepted", "it collapsed", "The champion goes on.")
    written = a_morning(failures=(*recorded_failures(home, "us"), refused))
    (home.pages / "us.morning.json").write_text(json.dumps(written.to_document()))
    record_failure(home, "us", "us/long/vae", TUESDAY, "it exploded")
    forget_failures(home, "us", ("us/raw_prices",), MONDAY)
    (read,) = published_mornings(home)
    assert [each.what for each in read.failures] == ["us/long/vae failed", refused.what]


def test_a_tick_that_raises_is_kept_and_one_that_succeeds_forgets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    trouble: list[Exception] = [OSError("no such host")]

    @recorded_tick("us", "us_drift_sensor")
    def tick(_: str) -> str:
        if trouble:
            raise trouble.pop()
        return "nothing to do"

    with pytest.raises(OSError, match="no such host"):
        tick("context")
    (found,) = recorded_failures(Home(tmp_path), "us")
    assert (found.what, found.why) == ("us_drift_sensor failed", "OSError: no such host")
    assert tick("context") == "nothing to do"
    assert recorded_failures(Home(tmp_path), "us") == ()


def test_a_job_by_hand_that_fails_is_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regime_assets.definitions import SHIPPED_UNIVERSES, build_definitions

    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    home = Home(tmp_path)
    job = build_definitions(home, SHIPPED_UNIVERSES).resolve_job_def("us_large_cap_roll_back")
    config = {"ops": {"us_large_cap_roll_back_champion": {"config": {"horizon": "long", "reason": "it fell"}}}}
    assert not job.execute_in_process(run_config=config, raise_on_error=False).success
    (read,) = published_mornings(home)
    (failure,) = read.failures
    assert failure.what == "us_large_cap_roll_back failed"
    assert "no previous champion" in failure.why
