"""A challenger that knows better is promoted by the gate and refreshed from then on; the former champion goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.sources.files import FilesSource
from regime_assets.library.production.deployments import DeploymentLog
from regime_assets.library.production.names import model_name
from regime_assets.library.report import page
from regime_assets.library.research.side_by_side import backtest_version
from regime_assets.library.steps.admission import NotAdmittedError
from regime_assets.library.steps.answer_replay import replay
from regime_assets.library.steps.daily_signal import Served, serve
from regime_assets.library.steps.morning import lane_names, morning
from regime_assets.library.steps.promotion import Promotion
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.window_reads import WindowReads
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.steps.lanes import SMALL, market_with_a_secret, own_package, run_lane, run_lanes

UNIVERSE = f"""\
name: secret
source: {{kind: files, options: {{folder: prices, fields: [close]}}}}
history_start: 2015-01-02
first_partition: 2016-01-04
last_partition: 2018-12-31
symbols: [TELLS, NOISE, OTHER]
traded: [INDEX]
walk_forward: {{sessions: 126, refit_every: 63}}
gate:
  {{challenge_sessions: 120, live_sessions: 100, minimum_fresh_sessions: 60, turnover_limit: 100, drawdown_limit: .9}}
{SMALL}"""
CHALLENGERS = (
    "challengers: {told: {features: ['their_designs.features:told'], encoder: {epochs: 40, steps_per_epoch: 8}}}\n"
)
DECLARED, PROMOTED, NEXT = date(2017, 6, 28), date(2018, 1, 24), date(2018, 1, 25)


def opened(folder: Path, more: str = "") -> Workspace:
    (folder / "secret.yaml").write_text(UNIVERSE + more)
    return Workspace(load_universe(folder / "secret.yaml"), Home(folder / "home"), WindowReads())


def with_prices(folder: Path, more: str = "") -> Workspace:
    workspace, prices = opened(folder, more), folder / "prices"
    prices.mkdir()
    days = pd.DatetimeIndex(workspace.calendar.sessions(date(2015, 1, 2), NEXT), name="session")
    for symbol, closes in market_with_a_secret(days).items():
        closes.rename("close").to_csv(prices / f"{symbol}.csv")
    fetched = FilesSource(prices, ["close"]).fetch(workspace.universe.instruments, days[0].date(), NEXT)
    workspace.market.ingest(fetched, "files", datetime(2015, 1, 1, tzinfo=UTC), workspace.calendar)
    return workspace


def evening(session: date) -> datetime:
    return datetime(session.year, session.month, session.day, 23, tzinfo=UTC)


class Told:
    """What came of the sessions, and the folder as it is after them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: dict[date, dict[str, Promotion]] = {}
        self.served: dict[date, Served] = {}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Three sessions, each at its own time: the second comes half a year after both designs were declared."""
    found = Told(tmp_path_factory.mktemp("secret"))
    with own_package(tmp_path_factory.mktemp("theirs")), pytest.MonkeyPatch.context() as patch:
        workspace = with_prices(found.folder, CHALLENGERS)
        patch.setattr(page, "_pictures", lambda _: defaultdict(bytes))
        for session in (DECLARED, PROMOTED, NEXT):
            with clock.at(evening(session)):
                found.done[session] = run_lanes(workspace, session)
                validate_window(workspace, "long", session)
                if session == DECLARED:
                    run_lane(workspace, session, "long")
                found.served[session] = serve(workspace, session)
        yield found


def test_before_there_is_a_live_record_the_gate_waits(told: Told) -> None:
    own, challenger = (told.done[DECLARED][name].judgement for name in ("design", "told"))
    assert (own.lane, own.outcome) == ("first", "promote")
    assert (challenger.lane, challenger.outcome) == ("challenge", "insufficient evidence")
    assert told.done[DECLARED]["told"].champion == f"version 1 of {DECLARED}"


def test_what_is_better_is_promoted_by_its_challenge_and_then_refreshed(told: Told) -> None:
    promoted = told.done[PROMOTED]["told"]
    assert (promoted.judgement.lane, promoted.judgement.outcome) == ("challenge", "promote"), promoted.judgement.reason
    live = next(rule for rule in promoted.judgement.rules if rule.rule == "live_sessions")
    assert (live.value or 0) > 100, "sessions after it was declared, decided by the models that it had then"
    assert promoted.serving is not None
    assert promoted.serving.design == "told"
    refreshed = told.done[NEXT]["told"]
    assert (refreshed.judgement.lane, refreshed.promoted) == ("refresh", True), refreshed.judgement.reason


def test_the_former_champion_goes_on_as_a_challenger(told: Told) -> None:
    before, after = told.done[PROMOTED]["design"], told.done[NEXT]["design"]
    assert (before.judgement.lane, before.promoted) == ("refresh", True)
    assert (after.judgement.lane, after.promoted) == ("challenge", False)
    workspace = opened(told.folder, CHALLENGERS)
    fitted = [workspace.lineage("short").require("vae", session) for session in (PROMOTED, NEXT)]
    assert fitted[1].parent == fitted[0].sha256, "it is refitted from its own last models"


def test_the_signal_reads_what_the_champion_was_fitted_on(told: Told) -> None:
    workspace = opened(told.folder, CHALLENGERS)
    log = DeploymentLog(workspace.database)
    before, after = (log.served("secret", "short", session) for session in (DECLARED, NEXT))
    assert before is not None
    assert after is not None
    assert list(after.features) == ["told", "told_lately"]
    assert "told" not in before.features
    for session in (DECLARED, PROMOTED, NEXT):
        for horizon in HORIZONS:
            assert replay(workspace, horizon, session).differences == ()


def test_a_frozen_version_of_either_design_is_scored(told: Told) -> None:
    workspace = opened(told.folder, CHALLENGERS)
    for version, name in lane_names(workspace, "short").items():
        scored = backtest_version(workspace, "short", version, PROMOTED - timedelta(days=60), NEXT)
        assert len(scored.sessions) > 30, name


def test_the_morning_names_the_champions_design_and_the_challengers_last_verdict(told: Told) -> None:
    with clock.at(evening(NEXT)):
        short = morning(opened(told.folder, CHALLENGERS)).horizons[0]
    assert (short.design, short.left_behind) == ("told", "")
    (other,) = short.challengers
    assert (other.name, other.session) == ("design", NEXT)
    assert short.gate is not None
    assert short.gate.promoted


def test_a_champion_whose_lane_is_taken_out_serves_on_and_says_what_to_do(told: Told) -> None:
    """The class that it was made with may not be imported any more, unless another lane of the file names it."""
    naming = CHALLENGERS.replace("told:", "other:").replace("']", "', market_risk]")
    workspace = opened(told.folder, naming)
    with clock.at(evening(NEXT)):
        served = serve(workspace, NEXT)
        short = morning(workspace).horizons[0]
    (sentence,) = [line for line in served.warnings if line.startswith("short: version")]
    assert "serves and is refitted no more: `told`" in sentence
    assert "`challengers` again" in sentence
    assert short.left_behind
    assert served.signal.weights == told.served[NEXT].signal.weights
    assert workspace.lineage("short", _design(workspace)).require("vae", NEXT).accepted, "its models stay"


def _design(workspace: Workspace) -> str:
    champion = workspace.registry.champion(model_name("secret", "short"))
    assert champion is not None
    return champion.tags["settings_hash"]


def test_a_challenger_that_looks_ahead_is_refused_by_name_with_the_first_session_at_which_it_does(
    told: Told,
) -> None:
    peeking = "challengers: {peeks: {features: [{use: 'their_designs.features:told', ahead: 1}]}}\n"
    lane = opened(told.folder, peeking).of_lane("peeks")
    first = lane.history("long", NEXT).sessions[0]
    with pytest.raises(NotAdmittedError, match=rf"told is not admitted: it looks ahead: its row of {first:%Y-%m-%d}"):
        run_lane(lane, NEXT)
    assert lane.lineage("short").of_session(NEXT) == {}
