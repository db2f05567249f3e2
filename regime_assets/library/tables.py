"""Every table's columns, once: the DDL, the columns that the UI shows, and docs/tables.md come from here.

`python -m regime_assets.library.tables > docs/tables.md` writes the page. A `*` in a name stands for a family of
columns (one a feature, one an instrument), whose members depend on the universe and its design.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

_LANE = """
    universe VARCHAR! name of the universe
    horizon VARCHAR! short (rolling window) or long (expanding window)
"""
_DESIGN = """
    design VARCHAR hash of the design whose lane it is
"""
_WEIGHTS = """
    rule_exposure DOUBLE exposure that the regime rule decided
    policy_exposure DOUBLE exposure that the policy decided
    rule_weights VARCHAR the rule's weights by instrument, a JSON object
    policy_weights VARCHAR the policy's weights by instrument, a JSON object
"""
_VERSIONED = """
    known_at TIMESTAMP UTC, when this version reached us
    known_basis VARCHAR observed, or assumed for history that was loaded later
    source VARCHAR who delivered it
    retracted BOOLEAN whether this version takes the row back
    reason VARCHAR why it was taken back
"""
_PRICES = """
    open DOUBLE as traded
    high DOUBLE as traded
    low DOUBLE as traded
    close DOUBLE as traded
    volume DOUBLE instruments traded
"""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: with `*` for a family of columns.
        type: of DuckDB.
        meaning: what it holds, with its unit.
        required: whether it is never NULL.
    """

    name: str
    type: str
    meaning: str
    required: bool


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: in the database.
        holds: what a row is, in one sentence.
        columns: in their order.
        key: columns of which no two rows have the same values; such rows are written by `keyed_rows`.
        ledger: whether it is in the ledger of all universes and not in a universe's own database.
    """

    name: str
    holds: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    ledger: bool = False

    @property
    def ddl(self) -> str:
        """The statement that creates the table where it is not there yet."""
        required = {*self.key, *(column.name for column in self.columns if column.required)}
        parts = [f'"{c.name}" {c.type}' + (" NOT NULL" if c.name in required else "") for c in self.columns]
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({', '.join(parts)})"

    @property
    def shown(self) -> dict[str, tuple[str, str]]:
        """Name → (type, meaning), as the UI takes it."""
        return {column.name: (column.type, column.meaning) for column in self.columns}

    def column(self, name: str) -> Column | None:
        """The column, or the family, of that name; None when there is none."""
        return next((column for column in self.columns if fnmatchcase(name, column.name)), None)


def _table(name: str, holds: str, *columns: str, key: tuple[str, ...] = (), ledger: bool = False) -> Table:
    lines = [line.strip() for part in columns for line in part.strip().splitlines()]
    found: list[Column] = []
    for line in lines:
        field, kind, meaning = line.split(" ", 2)
        found.append(Column(field, kind.removesuffix("!"), meaning, kind.endswith("!")))
    return Table(name, holds, tuple(found), key, ledger)


BARS = _table(
    "bars",
    "One version of one bar; the newest version known by then counts.",
    "universe VARCHAR name of the universe\nsymbol VARCHAR instrument\nsession DATE exchange session",
    _PRICES,
    _VERSIONED,
)
ACTIONS = _table(
    "actions",
    "One version of one corporate action.",
    """
    universe VARCHAR name of the universe
    symbol VARCHAR instrument
    ex_session DATE the first session that trades without it
    kind VARCHAR split or dividend
    value DOUBLE new shares for an old one, or cash a share as paid then
    """,
    _VERSIONED,
)
PRICE_BASIS = _table(
    "price_basis",
    "What a universe's prices are stored as, from a moment on.",
    """
    universe VARCHAR name of the universe
    known_at TIMESTAMP UTC, from when on it held
    settings VARCHAR source and basis, a JSON object
    """,
)
QUARANTINE_FINDINGS = _table(
    "quarantine_findings",
    "One finding for which data were held back.",
    """
    universe VARCHAR name of the universe
    refusal VARCHAR the batch that was refused
    origin VARCHAR where it came from
    as_of DATE the partition that asked for it
    known_at TIMESTAMP UTC, when it came
    rule VARCHAR which rule it broke
    severity VARCHAR block, error or warn
    symbol VARCHAR instrument; empty for the batch as a whole
    session DATE of the bar; NULL for the batch as a whole
    field VARCHAR which figure
    value DOUBLE what it was
    bound VARCHAR what it may be
    message VARCHAR the finding in words
    """,
)
QUARANTINE_BARS = _table(
    "quarantine_bars",
    "One bar that was held back, or a message that could not be read.",
    "universe VARCHAR name of the universe\nrefusal VARCHAR the batch that was refused",
    "symbol VARCHAR instrument\nsession DATE of the bar",
    _PRICES,
    "payload VARCHAR the message as it came, where it could not be read",
)
QUARANTINE_ACCEPTED = _table(
    "quarantine_accepted",
    "One bar that was held back and accepted later.",
    """
    universe VARCHAR name of the universe
    refusal VARCHAR the batch that was refused
    symbol VARCHAR instrument
    session DATE of the bar
    accepted_at TIMESTAMP UTC
    source VARCHAR who delivered what was accepted
    """,
)
BAR_DECISIONS = _table(
    "bar_decisions",
    "One decision of a person about one bar that was held back.",
    """
    universe VARCHAR name of the universe
    kind VARCHAR accept, correct or retract
    symbol VARCHAR instrument
    session DATE of the bar
    rule VARCHAR the accepted rule; empty for the other kinds
    """,
    _PRICES.replace("as traded", "the right value of a corrected bar").replace("instruments traded", "likewise"),
    _PRICES.replace("as traded", "the vendor's value that it stands for")
    .replace("instruments traded", "likewise")
    .replace("    ", "    refused_"),
    """
    reason VARCHAR why
    decided_by VARCHAR who decided
    decided_at TIMESTAMP UTC
    """,
)
HELD_BACK = _table(
    "held_back",
    "A stretch of one instrument's sessions for which nothing is stored, and why.",
    """
    universe VARCHAR name of the universe
    symbol VARCHAR instrument
    first DATE first session of the stretch
    last DATE last session of the stretch
    rule VARCHAR which rule held them back
    reason VARCHAR in words
    known_at TIMESTAMP UTC
    """,
)
EVENING_BARS = _table(
    "evening_bars",
    "One bar that was received before its session had settled.",
    """
    universe VARCHAR name of the universe
    symbol VARCHAR instrument
    session DATE of the bar
    received_at TIMESTAMP UTC, when it came first
    confirmed_at TIMESTAMP UTC, when a later fetch brought the same values; NULL before
    """,
)
FACTS = _table(
    "facts",
    "One published value of a macro series or of a company's report.",
    """
    universe VARCHAR name of the universe
    source VARCHAR who delivered it
    subject VARCHAR series or company
    fact VARCHAR what is stated: the level of a series; concept and unit of a report
    period VARCHAR what it is stated about: a day, or first/last of a flow
    value DOUBLE as published then
    published_at TIMESTAMP UTC, the end of its day of publication in New York
    known_at TIMESTAMP UTC, from when on it counts
    known_basis VARCHAR archive, or observed where answers had been given without it
    """,
)
FACTS_ANSWERED = _table(
    "facts_answered",
    "Up to when a subject's facts have answered a session; later ones are observed.",
    """
    universe VARCHAR name of the universe
    source VARCHAR who delivered it
    subject VARCHAR series or company
    answered_until TIMESTAMP UTC
    """,
    key=("universe", "source", "subject"),
)
FACTS_ASKED = _table(
    "facts_asked",
    "When a source was asked last for a subject.",
    """
    universe VARCHAR name of the universe
    source VARCHAR who was asked
    subject VARCHAR series or company
    request VARCHAR what was asked
    asked_at TIMESTAMP UTC
    whole_at TIMESTAMP UTC, when the whole history was asked for last
    """,
    key=("universe", "source", "subject"),
)
STREAM_OFFSETS = _table(
    "stream_offsets",
    "How far a Kafka topic was read.",
    """
    universe VARCHAR name of the universe
    topic VARCHAR name of the topic
    partition_number INTEGER of the topic
    next_offset BIGINT the first message that was not stored yet
    stored_at TIMESTAMP UTC
    """,
    key=("universe", "topic", "partition_number"),
)
VALIDATED_WINDOW = _table(
    "validated_window",
    "One session of the window that a partition's models are fitted on.",
    _LANE,
    """
    as_of DATE the partition
    session TIMESTAMP_NS row of the window
    feature:* DOUBLE one column a feature, known on the session's close
    return:* DOUBLE simple return of a traded instrument
    sample_weight DOUBLE recency weight, mean 1
    data_hash VARCHAR hash of the window's prices
    features VARCHAR hash of the feature components; NULL in rows of older versions
    """,
)
ADMISSIONS = _table(
    "admissions",
    "One examination of a user's own component.",
    """
    universe VARCHAR name of the universe
    slot VARCHAR features or encoders
    code VARCHAR hash of the component's code
    settings VARCHAR hash of its settings
    component VARCHAR its name in the universe's file
    refusal VARCHAR why it is refused; empty when it is admitted
    as_of DATE the partition that examined it
    """,
)
MODELS = _table(
    "models",
    "One fitted model; its arrays are a file.",
    _LANE,
    _DESIGN,
    """
    kind VARCHAR vae, latents, gmm or rl_policy
    session DATE the partition that fitted it
    sha256 VARCHAR hash of its parts
    parent VARCHAR hash of the model that it started from; empty from scratch
    warm_started BOOLEAN whether it started from a predecessor
    seed BIGINT of the fit
    data_hash VARCHAR of the window
    code_version VARCHAR of the library
    figures VARCHAR of the fit, a JSON object
    accepted BOOLEAN whether it met its rules
    refusal VARCHAR why not
    """,
)
RULE_OUTCOMES = _table(
    "rule_outcomes",
    "One rule that a fit, or a promotion, was held against.",
    _LANE,
    _DESIGN.strip() + "; empty where it concerns the horizon, as drift does",
    """
    kind VARCHAR what was judged: a model's kind, or promotion
    session DATE the partition
    rule VARCHAR name of the rule
    value DOUBLE what was measured; NULL when it could not be
    bound VARCHAR what it may be
    passed BOOLEAN whether it is
    blocking BOOLEAN whether failing it stops what follows
    detail VARCHAR what a reader must know besides
    """,
)
REGIME_PATH = _table(
    "regime_path",
    "What a partition's models say of one session of their window.",
    _LANE,
    _DESIGN,
    """
    as_of DATE the partition
    session TIMESTAMP_NS row of the window
    z* DOUBLE aligned latent means
    posterior_* DOUBLE filtered probability of a regime, 0 the calmest
    state BIGINT regime, 0 the calmest
    rule_exposure DOUBLE exposure that the regime rule decides
    reconstruction_error DOUBLE mean squared, in observation sigmas
    names VARCHAR the regimes' names, calmest first
    """,
)
VAE_CURVES = _table(
    "vae_curves",
    "One epoch of one VAE fit.",
    _LANE,
    _DESIGN,
    """
    session DATE the partition
    epoch BIGINT of the fit
    loss DOUBLE negative ELBO
    reconstruction DOUBLE part of the loss
    kl DOUBLE part of the loss, nats
    kl_latent_* DOUBLE of one latent, nats
    validation_reconstruction DOUBLE on the blocks that are held out
    active_units DOUBLE latents that carry information
    """,
)
RL_POLICY_CURVES = _table(
    "rl_policy_curves",
    "One measurement while a policy was trained.",
    _LANE,
    _DESIGN,
    """
    session DATE the partition
    * DOUBLE reward, net return, turnover, exposure, entropy, divergence and loss, with gradient_step and seed
    """,
)
DECISIONS = _table(
    "decisions",
    "The out-of-sample track: what a design's newest model that existed decided on a session.",
    _LANE,
    """
    as_of DATE the partition that decided
    design VARCHAR hash of the design whose models decided
    session TIMESTAMP_NS session decided on
    model_session TIMESTAMP_S newest session that the deciding model had seen
    regime BIGINT 0 is the calmest
    risk_off DOUBLE filtered posterior of the most turbulent regime
    reconstruction_error DOUBLE mean squared, in observation sigmas
    """,
    _WEIGHTS,
)
BACKTESTS = _table(
    "backtests",
    "What one partition's backtest measured, for the promotion that judges it.",
    _LANE,
    _DESIGN,
    """
    as_of DATE the partition
    serves VARCHAR rule or policy, whichever would decide
    document VARCHAR rules, gain, interval and figures, a JSON object
    """,
)
JUDGEMENTS = _table(
    "judgements",
    "The gate's answer for one partition.",
    _LANE,
    _DESIGN,
    """
    as_of DATE the partition
    lane VARCHAR first, refresh or challenge; none where there was nothing to judge
    outcome VARCHAR promote, hold or insufficient evidence
    reason VARCHAR why, in one line
    serves VARCHAR rule or policy
    champion_version BIGINT that it was compared with; -1 without one
    figures VARCHAR out-of-sample figures, a JSON object
    """,
)
BUNDLE_VERSIONS = _table(
    "bundle_versions",
    "One registered bundle.",
    """
    model_name VARCHAR! universe and horizon
    version INTEGER! in the registry
    sha256 VARCHAR! of the bundle
    session DATE! that it was fitted on
    run_id VARCHAR of MLflow
    tags VARCHAR! a JSON object
    """,
    key=("model_name", "version"),
)
PROMOTIONS = _table(
    "promotions",
    "One move of the champion.",
    """
    model_name VARCHAR! universe and horizon
    number INTEGER! of the move, from 1 on
    kind VARCHAR! promotion or roll_back
    session DATE! as of which it happened
    champion INTEGER! version that serves from then on
    previous INTEGER version that a roll-back goes to
    champion_before INTEGER version that served before
    previous_before INTEGER what `previous` was before
    reason VARCHAR! why
    verdict VARCHAR! the gate's outcome, or by hand
    author VARCHAR! who moved it
    identifier VARCHAR! of the move, so that a repeated call moves once
    made_at TIMESTAMP! UTC
    """,
    key=("model_name", "number"),
)
DEPLOYMENTS = _table(
    "deployments",
    "One answer that a champion gave.",
    """
    universe VARCHAR! name of the universe
    horizon VARCHAR! short or long
    session DATE! answered for
    model_version INTEGER! of the champion
    bundle_sha256 VARCHAR! of the champion
    inputs_hash VARCHAR! of the features that it read
    features VARCHAR! of the session, a JSON object
    regime VARCHAR! its name
    posteriors VARCHAR! by regime, a JSON object
    exposure DOUBLE! sum of the weights
    weights VARCHAR! by instrument, a JSON object
    latents VARCHAR! a JSON list
    reconstruction_error DOUBLE! mean squared, in observation sigmas
    decided_at TIMESTAMP! UTC
    reason VARCHAR! why this version answered
    number BIGINT! of the answer among those for the session, from 1 on
    """,
)
DAILY_SIGNAL = _table(
    "daily_signal",
    "The weight of one instrument.",
    """
    universe VARCHAR name of the universe
    as_of DATE the partition: weights decided on this session's close
    symbol VARCHAR instrument
    weight DOUBLE share of wealth, to be filled a session later
    regime VARCHAR the combined regime
    exposure DOUBLE sum of the weights of the risk instruments
    shares VARCHAR what each horizon counts, as JSON; empty where they count alike
    """,
)
DRIFT_REPORT = _table(
    "drift_report",
    "One session's drift and where its episode stands.",
    _LANE,
    """
    as_of DATE the partition
    status VARCHAR calm, suspected or drifting
    episode_id VARCHAR the session on which the drift episode began; empty while calm
    opened VARCHAR first session of the newest episode
    sessions_since BIGINT sessions since then
    refresh_requested BOOLEAN true on an episode's first session only
    refitted BOOLEAN whether the models were refitted from scratch since
    exceeded BIGINT sessions in a row with a bound exceeded
    recovered BIGINT sessions in a row below the recovery level
    cool_down BIGINT sessions left in which no episode opens
    back_off BIGINT the cool-down that follows the newest episode
    largest DOUBLE largest statistic over features and windows, as a multiple of its threshold
    share DOUBLE share of features and windows beyond their threshold
    drifted DOUBLE 1 when any is
    *_* DOUBLE one column a feature and window, as a multiple of its threshold
    """,
)
LIVE_PERFORMANCE = _table(
    "live_performance",
    "One session's live returns against the record, and what follows.",
    _LANE,
    """
    as_of DATE the partition
    action VARCHAR nothing, watch, full retrain, roll back and alert
    reason VARCHAR why
    occasion VARCHAR what a sensor acts on once; empty without one
    waiting VARCHAR why live returns cannot be judged yet
    waiting_for_shadow VARCHAR why there is no comparison with the shadow
    live_sessions BIGINT sessions that were served
    cusum_over_bound DOUBLE the test's sum as a multiple of its bound; a breach from 1 on
    paired_cusum_over_bound DOUBLE the same of the test against the shadow
    turnover_per_year DOUBLE notional traded one way, multiples of wealth
    slippage_per_year DOUBLE return lost against the plan
    * DOUBLE other figures: cumulative return with its band, Sharpe ratios, the shadow's version and correlation
    """,
)
SHADOW = _table(
    "shadow",
    "What a frozen predecessor of the champion would have decided on a session.",
    _LANE,
    """
    as_of DATE the partition that decided
    session TIMESTAMP_NS session decided on
    version BIGINT of the predecessor
    since TIMESTAMP_NS when it became the shadow
    turning BOOLEAN whether another design replaced it
    * DOUBLE exposures, weights and regime as in `decisions`
    """,
)
WALK_FORWARD = _table(
    "walk_forward",
    "What a walk-forward decided on one session.",
    _LANE,
    """
    run VARCHAR hash of design, settings, window, prices and code
    refit_session DATE session of the refit that decided
    session TIMESTAMP session decided on
    model_session TIMESTAMP newest session that the deciding model had seen
    regime BIGINT 0 is the calmest
    """,
    _WEIGHTS,
    "* VARCHAR hashes of the models that decided, and figures as in `decisions`",
)
WALK_FORWARD_RUNS = _table(
    "walk_forward_runs",
    "One walk-forward.",
    _LANE,
    """
    run VARCHAR hash of what follows
    design VARCHAR hash of the design
    settings VARCHAR cadences, a JSON object
    window VARCHAR shape of the window
    data VARCHAR hash of the prices
    code VARCHAR version of the library
    asked_at TIMESTAMP UTC, when it was asked for last
    """,
)
ORDERS = _table(
    "orders",
    "One order that was sent on a session's signal.",
    """
    universe VARCHAR name of the universe
    session DATE of the signal
    client_reference VARCHAR ours
    reference VARCHAR the broker's
    symbol VARCHAR instrument
    side VARCHAR buy or sell
    shares DOUBLE ordered
    price DOUBLE expected, a share
    expected_cost DOUBLE in the account's currency
    refusal VARCHAR why the broker did not take it; empty when it did
    broker VARCHAR its name
    sent_at TIMESTAMP UTC
    """,
)
FILLS = _table(
    "fills",
    "What became of one order.",
    """
    universe VARCHAR name of the universe
    session DATE of the signal
    client_reference VARCHAR of the order
    symbol VARCHAR instrument
    side VARCHAR buy or sell
    status VARCHAR the broker's word
    shares DOUBLE filled
    price DOUBLE mean, a share
    filled_at TIMESTAMP UTC
    """,
)
HOLDINGS = _table(
    "holdings",
    "What an account held in one instrument when orders were made.",
    """
    universe VARCHAR name of the universe
    session DATE of the signal
    symbol VARCHAR instrument; empty for cash
    shares DOUBLE held
    capital DOUBLE of the account
    """,
)
TRIED_DESIGNS = _table(
    "tried_designs",
    "One design that was tried, written down when the try began.",
    """
    design VARCHAR! hash of the design
    universe VARCHAR! name of the universe
    horizon VARCHAR! short or long
    kind VARCHAR! daily, walk_forward, try or search
    traded VARCHAR[]! instruments whose returns it earns
    started TIMESTAMP! UTC; of kind daily, the day of its declaration
    """,
    key=("design", "universe", "horizon", "kind"),
    ledger=True,
)
TRIALS = _table(
    "trials",
    "What a design showed as of a session.",
    """
    universe VARCHAR! name of the universe
    horizon VARCHAR! short or long
    session DATE! as of which it was evaluated
    design VARCHAR! hash of the design
    sharpe DOUBLE! annualised, out of sample, net of costs
    n_sessions INTEGER! behind it
    """,
    key=("universe", "horizon", "session", "design"),
    ledger=True,
)
LOOKS = _table(
    "looks",
    "One look that the gate took at a challenger.",
    """
    universe VARCHAR! name of the universe
    horizon VARCHAR! short or long
    session DATE! of the look
    design VARCHAR! that was looked at
    alpha DOUBLE! error probability that it spent
    """,
    key=("universe", "horizon", "session", "design"),
    ledger=True,
)
RENAMED_DESIGNS = _table(
    "renamed_designs",
    "A design whose hash another version of the package computes in another way.",
    """
    universe VARCHAR! name of the universe
    horizon VARCHAR! short or long
    former VARCHAR! the hash that it had, which its older bundles keep
    design VARCHAR! the hash that it has
    renamed_at TIMESTAMP! UTC
    """,
    key=("universe", "horizon", "former"),
    ledger=True,
)

TABLES = (
    *(BARS, ACTIONS, PRICE_BASIS, QUARANTINE_FINDINGS, QUARANTINE_BARS, QUARANTINE_ACCEPTED),
    *(BAR_DECISIONS, HELD_BACK, EVENING_BARS),
    *(FACTS, FACTS_ANSWERED, FACTS_ASKED, STREAM_OFFSETS, VALIDATED_WINDOW),
    *(ADMISSIONS, MODELS, RULE_OUTCOMES, REGIME_PATH, VAE_CURVES, RL_POLICY_CURVES),
    *(DECISIONS, BACKTESTS, JUDGEMENTS, BUNDLE_VERSIONS, PROMOTIONS, DEPLOYMENTS, DAILY_SIGNAL),
    *(DRIFT_REPORT, LIVE_PERFORMANCE, SHADOW, WALK_FORWARD, WALK_FORWARD_RUNS),
    *(ORDERS, FILLS, HOLDINGS, TRIED_DESIGNS, TRIALS, LOOKS, RENAMED_DESIGNS),
)
"""In the order of the data's flow."""


def undescribed(table: str, columns: Iterable[str]) -> list[str]:
    """What of a stored table is not described here: the table's name, or names of columns; empty when all is."""
    known = next((entry for entry in TABLES if entry.name == table), None)
    if known is None:
        return [table]
    return [f"{table}.{name}" for name in columns if known.column(name) is None]


def render() -> str:
    """docs/tables.md."""
    lines = [
        "# Tables",
        "",
        "Written by `python -m regime_assets.library.tables > docs/tables.md`; a test holds it equal to the code.",
        "",
        "Each universe has a DuckDB file of its own, `databases/<universe>.duckdb`. The last four tables are in",
        "`ledger.duckdb`, which all universes share. Where machines share tables, each of these files is a schema.",
        "`*` stands for a family of columns, one a feature, say. A key is held by the tables' only writer, not by the",
        "engine.",
    ]
    for table in TABLES:
        lines += ["", f"## {table.name}", "", table.holds]
        if table.key:
            lines[-1] += f" Key: {', '.join(table.key)}."
        lines += ["", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in table.columns]
    return "\n".join(lines)


if __name__ == "__main__":
    print(render())
