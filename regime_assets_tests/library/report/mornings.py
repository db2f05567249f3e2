"""A morning with everything in it, made by hand."""

from datetime import UTC, date, datetime, timedelta

from regime_assets.library.report.morning import Answer, Drift, Failure, Gate, Horizon, Live, Morning

SESSION = date(2024, 3, 15)
DAYS = [SESSION - timedelta(days=number) for number in reversed(range(200))]


def horizon(name: str, drift: float = 0.43, live_sessions: int = 40) -> Horizon:
    ribbon = tuple((day, int(60 < place < 120), min(place, 100) / 100) for place, day in enumerate(DAYS))
    path = tuple((day, 0.001 * n, -0.002 * n - 0.01, 0.003 * n) for n, day in enumerate(DAYS[-live_sessions:]))
    return Horizon(
        name=name,
        regime="calm",
        probability=0.998,
        names=("calm", "turbulent"),
        since=DAYS[120],
        exposure=0.75,
        version=7,
        fitted=date(2024, 3, 11),
        serving_since=date(2024, 3, 12),
        age=4,
        ribbon=ribbon,
        gate=Gate(SESSION, "hold", False, "label_agreement .91 is below .95", "rule"),
        drift=Drift(
            "calm" if drift < 1 else "drifting", drift, "rms over 10 sessions", None if drift < 1 else DAYS[-3]
        ),
        live=Live(live_sessions, path, 0.2, "", "nothing", "within what a market that does not change produces"),
    )


def a_morning(**changes: object) -> Morning:
    values: dict[str, object] = {
        "universe": "us",
        "description": "twenty <large> caps",
        "made_at": datetime(2024, 3, 15, 22, 0, tzinfo=UTC),
        "session": SESSION,
        "due": SESSION,
        "behind": 0,
        "regime": "calm",
        "regime_from": "long",
        "exposure": 0.75,
        "exposure_before": 0.5,
        "weights": {"SPY": 0.75},
        "horizons": (horizon("short"), horizon("long")),
        "newest_bar": SESSION,
        "held_back": (),
        "failures": (),
        "recent": tuple(
            Answer(day, "calm", 0.75, {"short": 7, "long": 7}, {"short": "hold", "long": "promote"})
            for day in reversed(DAYS[-5:])
        ),
    }
    return Morning(**{**values, **changes})  # pyright: ignore[reportArgumentType]


TROUBLE = a_morning(
    universe="london",
    behind=2,
    due=date(2024, 3, 19),
    horizons=(horizon("short", drift=1.7), horizon("long", live_sessions=1)),
    held_back=(("2024-03-18", "VOD.L", "the high 71.2 lies below the close 71.9 of the same bar, which cannot be"),),
    failures=(
        Failure(date(2024, 3, 18), "london/raw_prices failed", "VOD.L: the high lies below the close.", "Look."),
    ),
)
