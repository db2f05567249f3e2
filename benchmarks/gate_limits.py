"""How long a drawdown limit holds promotions back: over the whole record, over three years, and against buy & hold.

    python benchmarks/gate_limits.py [--paths 60] [--seed 0]

Every quarter each strategy's record so far is held against the limit of .35, three ways: its deepest fall ever; the
deepest of the newest 756 sessions; the same, unless buy & hold fell deeper on them, which is the gate's rule.
Strategies are the on/off rules of `gate_worlds` on real indices, and on simulated markets (GJR-GARCH, t, 16 %
volatility) one that is half invested, always invested, or out on 40 % of sessions by chance. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from gate_worlds import real_strategies, shocks
from numpy.typing import NDArray

from regime_assets.library.evaluation.gate_rules import drawdown_rule
from regime_assets.library.evaluation.metrics import max_drawdown
from regime_assets.library.trading.scoring import Scored
from regime_assets.library.universe.gate_settings import GateSettings

Floats = NDArray[np.float64]

QUARTER = 63
FIRST_LOOK = 504
SIMULATED_SESSIONS = 25 * 252
DAILY_VOLATILITY = 0.01
DAILY_MEAN = 0.00025


def held_shares(net: Floats, buy_and_hold: Floats) -> tuple[float, float, float, float]:
    """Shares of quarterly looks held: over the whole record, over the window, by the gate; and held for good."""
    gate = GateSettings()
    looks = range(FIRST_LOOK, len(net) + 1, QUARTER)
    still = np.zeros(len(net))
    rows: list[tuple[bool, bool, bool]] = []
    for end in looks:
        whole, newest = max_drawdown(net[:end]), max_drawdown(net[max(0, end - gate.drawdown_sessions) : end])
        track = Scored(net[:end], net[:end], still[:end], still[:end])
        rule = drawdown_rule(track, buy_and_hold[:end], sessions=gate.drawdown_sessions, limit=gate.drawdown_limit)
        assert whole is not None
        assert newest is not None
        rows.append((-whole.depth > gate.drawdown_limit, -newest.depth > gate.drawdown_limit, not rule.passed))
    shares = np.mean(rows, axis=0)
    return float(shares[0]), float(shares[1]), float(shares[2]), float(rows[-1][0])


def cases(paths: int, seed: int) -> Iterator[tuple[str, list[tuple[Floats, Floats]]]]:
    """Names, and pairs of a strategy's and the market's net returns."""
    for name, strategies in zip(("S&P 500, 1998 to 2022", "Nasdaq, 2002 to 2018"), real_strategies(), strict=True):
        market = strategies.market
        yield f"{name}: on/off rules", [(net, market) for net in strategies.net]
        yield f"{name}: buy & hold", [(market, market)]
    generator = np.random.default_rng(seed)
    drawn = shocks(generator, (paths,), SIMULATED_SESSIONS, 0.0).T * DAILY_VOLATILITY + DAILY_MEAN
    invested = np.repeat(generator.random((paths, SIMULATED_SESSIONS // 60 + 1)) > 0.4, 60, axis=1)
    yield "simulated: half invested", [(0.5 * path, path) for path in drawn]
    yield "simulated: always invested", [(path, path) for path in drawn]
    chosen = invested[:, :SIMULATED_SESSIONS]
    yield "simulated: out by chance", [(path * on, path) for path, on in zip(drawn, chosen, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=60, help="simulated markets")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| share of quarterly looks held | whole record | newest 756 sessions | gate | whole record, at the end |")
    print("|---|---|---|---|---|")
    for name, pairs in cases(arguments.paths, arguments.seed):
        shares = np.mean([held_shares(*pair) for pair in pairs], axis=0)
        print(f"| {name} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")


if __name__ == "__main__":
    main()
