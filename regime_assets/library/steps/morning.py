"""One universe at a glance, gathered from the stores: what it says, who says it, how that goes, and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.deployment_lock import deployment_lock
from regime_assets.library.design import design_named
from regime_assets.library.production.champion_pointer import read_pointer
from regime_assets.library.production.deployments import DEPLOYMENTS_TABLE, Deployment, DeploymentLog
from regime_assets.library.production.lineage import MODELS_TABLE
from regime_assets.library.production.names import model_name
from regime_assets.library.production.promotion_journal import Move
from regime_assets.library.production.registry_store import DESIGN_TAG
from regime_assets.library.production.signal import combine
from regime_assets.library.report.failures import recorded_failures
from regime_assets.library.report.morning import Answer, Challenger, Drift, Failure, Gate, Horizon, Live, Morning
from regime_assets.library.report.morning_files import MORNING_SUFFIX, published_mornings
from regime_assets.library.report.morning_page import Links, morning_page
from regime_assets.library.report.plain_words import DRIFT_FEATURES
from regime_assets.library.shared_files import write_file
from regime_assets.library.steps.daily_signal import TABLE as SIGNALS
from regime_assets.library.steps.declared_design import present_hash
from regime_assets.library.steps.drift_report import TABLE as DRIFT
from regime_assets.library.steps.horizon_shares import stored_shares
from regime_assets.library.steps.judgement import TABLE as JUDGEMENTS
from regime_assets.library.steps.live_performance import TABLE as LIVE
from regime_assets.library.steps.served_design import lane_of, left_behind
from regime_assets.library.steps.served_track import read_served_track
from regime_assets.library.universe import HORIZONS, OWN_DESIGN, UniverseError
from regime_assets.library.universe import Horizon as HorizonName
from regime_assets.library.workspace import Workspace

LOCK_SECONDS = 60.0
RIBBON_SESSIONS = 252
RECENT_SESSIONS = 5
MOST_HELD_BACK = 10
MOST_REFUSED = 20
CHAMPION_GOES_ON = "The champion goes on, and the next session starts from the last accepted model."
NO_CHAMPION = (
    "Nothing serves yet, so there is no answer. Look at the asset's checks, and materialize a later session with "
    "full_retrain: true, or change the design."
)


def morning(workspace: Workspace) -> Morning:
    """Gather what is known of a universe now."""
    with workspace.database.held():
        return _gathered(workspace)


def _gathered(workspace: Workspace) -> Morning:
    universe = workspace.universe
    answers: dict[HorizonName, tuple[Deployment, ...]] = {each: _answers(workspace, each) for each in HORIZONS}
    session = max((each[-1].signal.session for each in answers.values() if each), default=None)
    due = _due(workspace)
    recent = _recent(workspace, answers)
    newest = recent[0] if recent else None
    horizons = [_horizon(workspace, name, answers[name]) for name in HORIZONS if answers[name]]
    combined = None
    if session is not None:
        newest_ones = {str(n): a[-1].signal for n, a in answers.items() if a and a[-1].signal.session == session}
        combined = combine(newest_ones, _shares(workspace, session))
    stored = workspace.market.newest_sessions()
    return Morning(
        universe=universe.name,
        description=universe.description,
        made_at=clock.now(),
        session=session,
        due=due,
        behind=_behind(workspace, session, due),
        regime=combined.regime if combined else "",
        regime_from=combined.regime_from if combined else "",
        exposure=newest.exposure if newest else None,
        exposure_before=recent[1].exposure if len(recent) > 1 else None,
        weights=combined.weights if combined else {},
        horizons=tuple(horizons),
        newest_bar=max(stored.values(), default=None),
        held_back=_held_back(workspace),
        failures=(*recorded_failures(workspace.home, universe.name), *_refused(workspace, recent)),
        recent=tuple(recent),
    )


def champion_moves(workspace: Workspace, horizon: HorizonName) -> tuple[Move, ...]:
    """Every move of a horizon's champion, oldest first."""
    return workspace.registry.history(model_name(workspace.universe.name, horizon))


def lane_names(workspace: Workspace, horizon: HorizonName) -> dict[int, str]:
    """The name of the lane that fitted each version, as the file called it then; older versions have none."""
    versions = workspace.registry.versions(model_name(workspace.universe.name, horizon))
    return {stored.version: stored.tags.get(DESIGN_TAG, "") for stored in versions}


def regime_switches(workspace: Workspace, horizon: HorizonName) -> list[tuple[date, str, str]]:
    """(session, regime before, regime from then on) wherever the served answers changed, oldest first."""
    answers = _answers(workspace, horizon, everything=True)
    named = [(answer.signal.session, answer.signal.regime) for answer in answers]
    return [(day, was, now) for (_, was), (day, now) in pairwise(named) if was != now]


def _answers(workspace: Workspace, horizon: HorizonName, everything: bool = False) -> tuple[Deployment, ...]:
    if not workspace.database.has_table(DEPLOYMENTS_TABLE):
        return ()
    log, name = DeploymentLog(workspace.database), workspace.universe.name
    far = date(9999, 1, 1)
    newest = None if everything else RIBBON_SESSIONS
    return log.history(name, horizon, workspace.universe.history_start, far, newest)


def _due(workspace: Workspace) -> date | None:
    """The newest session whose partition exists: they do from the midnight after it."""
    universe, calendar = workspace.universe, workspace.calendar
    yesterday = clock.today(calendar.timezone) - timedelta(days=1)
    last = min(universe.last_partition, yesterday) if universe.last_partition else yesterday
    if last < universe.first_partition:
        return None
    sessions = calendar.sessions(max(universe.first_partition, last - timedelta(days=30)), last)
    return sessions[-1] if sessions else None


def _behind(workspace: Workspace, session: date | None, due: date | None) -> int:
    if session is None or due is None or due <= session:
        return 0
    return len(workspace.calendar.sessions(session + timedelta(days=1), due))


def _horizon(workspace: Workspace, name: HorizonName, answers: Sequence[Deployment]) -> Horizon:
    newest, model = answers[-1], model_name(workspace.universe.name, name)
    signal = newest.signal
    names = tuple(signal.posteriors)
    moves = champion_moves(workspace, name)
    pointer = read_pointer(workspace.home.mlflow_artifacts, model)
    fitted = pointer.session if pointer and pointer.version == newest.model_version else signal.session
    served = [move.session for move in moves if move.after.champion == newest.model_version]
    ribbon = _ribbon(workspace, name, answers, names)
    registered = workspace.registry.find(model, newest.model_version)
    tags = registered.tags if registered else {}
    stored = tags.get("settings_hash", "")
    named = lane_of(workspace, name, stored) or tags.get(DESIGN_TAG) or stored[:8]
    return Horizon(
        name=name,
        regime=signal.regime,
        probability=signal.posteriors[signal.regime],
        names=names,
        since=_since(ribbon),
        exposure=signal.exposure,
        version=newest.model_version,
        fitted=fitted,
        serving_since=served[-1] if served else fitted,
        age=max(0, len(workspace.calendar.sessions(fitted, signal.session)) - 1),
        ribbon=ribbon,
        gate=_gate(workspace, name, moves, present_hash(workspace, name, stored)),
        drift=_drift(workspace, name),
        live=_live(workspace, name),
        design=named or OWN_DESIGN,
        left_behind=left_behind(workspace, name, newest.model_version, stored, named) if stored else "",
        challengers=tuple(_challengers(workspace, name, present_hash(workspace, name, stored))),
    )


def _challengers(workspace: Workspace, horizon: HorizonName, champion: str) -> Iterator[Challenger]:
    """The lanes of the file that do not serve, and what the gate said of each last."""
    for name in workspace.universe.lanes:
        try:
            design = design_named(workspace.universe, name).hash_for(horizon)
        except UniverseError as error:
            yield Challenger(name, None, "", str(error))
            continue
        if design == champion:
            continue
        row = _newest(workspace, JUDGEMENTS, horizon, design)
        if row is None:
            yield Challenger(name, None, "", "no session of it was judged yet")
        else:
            yield Challenger(name, _day(row["as_of"]), str(row["outcome"]), str(row["reason"]))


def _ribbon(
    workspace: Workspace, horizon: HorizonName, answers: Sequence[Deployment], names: tuple[str, ...]
) -> tuple[tuple[date, int, float], ...]:
    """What the newest model that existed said of each session, and from the first answer on what was answered."""
    session = answers[-1].signal.session
    track = read_served_track(workspace, horizon, session)
    days: dict[date, tuple[int, float]] = {}
    for day, row in zip(pd.DatetimeIndex(track.index), track.to_dict("records"), strict=True):
        days[day.date()] = int(row["regime"]), float(row["risk_off"])
    for answer in answers:
        said = answer.signal
        days[said.session] = (
            names.index(said.regime) if said.regime in names else 0,
            said.posteriors.get(names[-1], 0.0),
        )
    return tuple((day, *days[day]) for day in sorted(days)[-RIBBON_SESSIONS:])


def _since(ribbon: tuple[tuple[date, int, float], ...]) -> date | None:
    """The first session of the last stay; None where it reaches back to the ribbon's start."""
    other = [number for number, (_, regime, _) in enumerate(ribbon) if regime != ribbon[-1][1]]
    return ribbon[other[-1] + 1][0] if other else None


def _gate(workspace: Workspace, horizon: HorizonName, moves: Sequence[Move], design: str) -> Gate | None:
    """The last verdict on a model of the champion's design."""
    row = _newest(workspace, JUDGEMENTS, horizon, design)
    if row is None:
        return None
    session = _day(row["as_of"])
    promoted = any(move.kind == "promotion" and move.session == session for move in moves)
    return Gate(session, str(row["outcome"]), promoted, str(row["reason"]), str(row["serves"]))


def _drift(workspace: Workspace, horizon: HorizonName) -> Drift | None:
    row = _newest(workspace, DRIFT, horizon)
    if row is None:
        return None
    ratios = {name: value for name, value in row.items() if name.rpartition("_")[2].isdigit() and pd.notna(value)}
    feature, _, window = max(ratios, key=lambda name: float(ratios[name])).rpartition("_")
    opened = _day(row["opened"]) if row["status"] == "drifting" and row["opened"] is not None else None
    return Drift(
        str(row["status"]),
        float(row["largest"]),
        f"{DRIFT_FEATURES.get(feature, feature)}, over {window} sessions",
        opened,
    )


def _live(workspace: Workspace, horizon: HorizonName) -> Live | None:
    row = _newest(workspace, LIVE, horizon)
    if row is None:
        return None
    path: list[tuple[date, float, float, float]] = []
    if "cumulative_return" in row:
        sql = (
            f"SELECT as_of, cumulative_return, band_low, band_high FROM {LIVE} "
            "WHERE universe = ? AND horizon = ? AND cumulative_return IS NOT NULL ORDER BY as_of DESC LIMIT ?"
        )
        rows = workspace.database.query(sql, [workspace.universe.name, horizon, RIBBON_SESSIONS]).iloc[::-1]
        path = [
            (_day(day), float(own), float(low), float(high)) for day, own, low, high in rows.itertuples(index=False)
        ]
    ratio = row.get("cusum_over_bound")
    return Live(
        sessions=int(row["live_sessions"]),
        path=tuple(path),
        ratio=None if ratio is None or pd.isna(ratio) else float(ratio),
        waiting=str(row["waiting"] or ""),
        action=str(row["action"]),
        reason=str(row["reason"]),
    )


def _recent(workspace: Workspace, answers: dict[HorizonName, tuple[Deployment, ...]]) -> list[Answer]:
    """The last sessions that every horizon with answers answered, newest first."""
    by_session: dict[date, dict[HorizonName, Deployment]] = {}
    for horizon, given in answers.items():
        for answer in given[-2 * RECENT_SESSIONS :]:
            by_session.setdefault(answer.signal.session, {})[horizon] = answer
    designs = {
        horizon: _designs(workspace, horizon, {answer.model_version for answer in given[-2 * RECENT_SESSIONS :]})
        for horizon, given in answers.items()
    }
    found: list[Answer] = []
    for day in sorted(by_session, reverse=True)[:RECENT_SESSIONS]:
        signals = {str(horizon): answer.signal for horizon, answer in by_session[day].items()}
        together = combine(signals, _shares(workspace, day))
        versions = {str(horizon): answer.model_version for horizon, answer in by_session[day].items()}
        answered = {
            horizon: designs[horizon].get(answer.model_version, "") for horizon, answer in by_session[day].items()
        }
        verdicts = _verdicts(workspace, day, answered)
        found.append(Answer(day, together.regime, together.exposure, versions, verdicts))
    return found


def _designs(workspace: Workspace, horizon: HorizonName, versions: Iterable[int]) -> dict[int, str]:
    """The present hash of each version's design; of a version that was deleted none."""
    model = model_name(workspace.universe.name, horizon)
    known = [one for version in versions if (one := workspace.registry.find(model, version))]
    return {one.version: present_hash(workspace, horizon, one.tags.get("settings_hash", "")) for one in known}


def _shares(workspace: Workspace, session: date) -> dict[str, float] | None:
    """What the horizons counted in a stored signal."""
    if not workspace.database.has_table(SIGNALS):
        return None
    key = {"universe": workspace.universe.name, "as_of": session}
    return stored_shares(workspace.database.read_partition(SIGNALS, key))


def _verdicts(workspace: Workspace, session: date, designs: Mapping[str, str]) -> dict[str, str]:
    """What the gate said on a session of a new model of the designs that answered it."""
    if not workspace.database.has_table(JUDGEMENTS):
        return {}
    sql = f"SELECT horizon, design, outcome FROM {JUDGEMENTS} WHERE universe = ? AND as_of = ? ORDER BY horizon DESC"
    rows = workspace.database.query(sql, [workspace.universe.name, session])
    return {
        str(horizon): str(outcome)
        for horizon, design, outcome in rows.itertuples(index=False)
        if design == designs.get(horizon)
    }


def _held_back(workspace: Workspace) -> tuple[tuple[str, str, str], ...]:
    rows = workspace.quarantine.history()
    rows = rows[rows["accepted_at"].isna()].iloc[::-1].drop_duplicates(["symbol", "session", "message"])
    days = rows["session"].dt.strftime("%Y-%m-%d").fillna("")
    return tuple(zip(days, rows["symbol"].astype(str), rows["message"].astype(str), strict=True))[:MOST_HELD_BACK]


def _refused(workspace: Workspace, recent: Sequence[Answer]) -> list[Failure]:
    """Models of the last sessions that broke a blocking rule; the newest ones while nothing was answered."""
    if not workspace.database.has_table(MODELS_TABLE):
        return []
    since = recent[-1].session if recent else workspace.universe.first_partition
    sql = (
        f"SELECT session, horizon, design, kind, refusal FROM {MODELS_TABLE} WHERE universe = ? AND NOT accepted "
        "AND session >= ? ORDER BY session DESC, horizon DESC, kind LIMIT ?"
    )
    rows = workspace.database.query(sql, [workspace.universe.name, since, MOST_REFUSED])
    todo = CHAMPION_GOES_ON if recent else NO_CHAMPION
    return [
        Failure(
            _day(day),
            f"the {kind} of the {horizon} horizon{_of_lane(workspace, horizon, design)} was not accepted",
            str(why),
            todo,
        )
        for day, horizon, design, kind, why in rows.itertuples(index=False)
    ]


def _of_lane(workspace: Workspace, horizon: HorizonName, design: str) -> str:
    name = lane_of(workspace, horizon, design)
    return "" if name == OWN_DESIGN else f", {name or design[:8]}"


def _newest(workspace: Workspace, table: str, horizon: HorizonName, design: str | None = None) -> dict[str, Any] | None:
    if not workspace.database.has_table(table):
        return None
    lane, values = ("", []) if design is None else (" AND design = ?", [design])
    sql = f"SELECT * FROM {table} WHERE universe = ? AND horizon = ?{lane} ORDER BY as_of DESC LIMIT 1"
    rows = workspace.database.query(sql, [workspace.universe.name, horizon, *values])
    return None if rows.empty else {str(name): value for name, value in rows.iloc[0].to_dict().items()}


def _day(value: Any) -> date:
    return pd.Timestamp(value).date()


def publish_morning(workspace: Workspace) -> Morning:
    """Write what is known of the universe now, and the page of all universes, for readers without the database."""
    pages = workspace.home.pages
    # Both horizons publish at the end of a session: what one of them read must not be written over what the other did.
    with deployment_lock(workspace.home.locks / "pages.lock", LOCK_SECONDS):
        found = morning(workspace)
        document = json.dumps(found.to_document(), allow_nan=False).encode()
        write_file(pages / f"{found.universe}{MORNING_SUFFIX}", document)
        page = morning_page(published_mornings(workspace.home), Links(), found.made_at).encode()
        for name in ("index", *([found.session.isoformat()] if found.session else [])):
            write_file(pages / f"{name}.html", page)
    return found
