"""Share orders of one account, checked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.trading.orders import Order, OrderError, OrderSettings, Untraded, plan_orders

PRICES = {"SPY": 400.0, "TLT": 100.0, "GLD": 180.0}


def test_the_orders_of_a_session_by_hand() -> None:
    # 100,000 in all: 50 SPY are 20,000, 300 TLT are 30,000, 50,000 is cash.
    plan = plan_orders(
        {"SPY": 0.5, "TLT": 0.1, "GLD": 0.0}, {"SPY": 50, "TLT": 300}, PRICES, 100_000, OrderSettings(cost=0.001)
    )
    # SPY: 50,000 / 400 = 125 shares, 75 more. TLT: 10,000 / 100 = 100 shares, 200 less.
    assert plan.orders == (Order("TLT", "sell", 200, 100.0, 20.0), Order("SPY", "buy", 75, 400.0, 30.0))
    assert plan.cash == pytest.approx(50_000 + 20_000 - 20 - 30_000 - 30)
    assert plan.turnover == pytest.approx(0.5)
    assert plan.positions == {"SPY": 125, "TLT": 100}
    assert plan.untraded == ()


def test_shares_are_whole_and_never_cost_more_than_there_is() -> None:
    plan = plan_orders({"SPY": 1.0}, {}, {"SPY": 333.0}, 1_000, OrderSettings(cost=0.001))
    # Three shares are 999 and their cost .999: together more than 999.999 would be too much.
    assert [order.shares for order in plan.orders] == [3]
    plan = plan_orders({"SPY": 1.0}, {}, {"SPY": 250.0}, 1_000, OrderSettings(cost=0.001))
    assert [order.shares for order in plan.orders] == [3]
    assert plan.untraded == (Untraded("SPY", 1, "the cash does not reach"),)


def test_what_could_not_be_traded_is_listed_with_its_reason() -> None:
    settings = OrderSettings(smallest_order=500, no_trade_band=0.02)
    plan = plan_orders(
        {"SPY": 0.41, "TLT": 0.0, "GLD": 0.1, "XYZ": 0.1, "BIL": 0.0003},
        {"SPY": 100, "TLT": 4, "OLD": 7},
        PRICES | {"BIL": 91.0, "OLD": 20.0},
        100_000,
        settings,
    )
    reasons = {one.symbol: one.reason for one in plan.untraded}
    assert [order.symbol for order in plan.orders] == ["GLD"]
    assert reasons["SPY"].startswith("within the no-trade band")
    assert reasons["TLT"] == "worth 400.00, less than the smallest order of 500.00"
    assert reasons["XYZ"] == "no price is known"
    assert reasons["OLD"] == "held, but the universe does not trade it: left alone"
    assert reasons["BIL"] == "its target is less than one lot"


def test_a_position_is_closed_whatever_the_band() -> None:
    plan = plan_orders({"SPY": 0.0}, {"SPY": 1}, PRICES, 100_000, OrderSettings(no_trade_band=0.05))
    assert [(order.side, order.shares) for order in plan.orders] == [("sell", 1)]


def test_holdings_beyond_the_capital_are_refused() -> None:
    with pytest.raises(OrderError, match=r"worth 40,000\.00 at the newest closes, more than the capital of 10,000\.00"):
        plan_orders({"SPY": 1.0}, {"SPY": 100}, PRICES, 10_000)


def test_a_holding_of_unknown_worth_is_no_cash() -> None:
    # 100,000 in all: 100 SPY are 40,000, nobody knows what OLD is worth.
    weights, held = {"SPY": 0.4, "TLT": 0.6}, {"SPY": 100, "OLD": 50}
    with pytest.raises(OrderError, match=r"OLD: held, and no price .* leave it out of the holdings"):
        plan_orders(weights, held, PRICES, 100_000)
    # A broker says that 10,000 are cash: 99 shares of TLT and their cost are paid of it, 600 were wanted.
    plan = plan_orders(weights, held, PRICES, 100_000, OrderSettings(cost=0.001), cash=10_000)
    assert [(order.symbol, order.shares) for order in plan.orders] == [("TLT", 99)]
    assert plan.cash == pytest.approx(10_000 - 9_900 - 9.9)
    assert Untraded("TLT", 501, "the cash does not reach") in plan.untraded


@given(
    weights=st.lists(st.floats(0, 0.33), min_size=3, max_size=3),
    held=st.lists(st.integers(0, 40), min_size=3, max_size=3),
)
def test_cash_never_turns_negative_and_shares_add_up(weights: list[float], held: list[int]) -> None:
    symbols = list(PRICES)
    before = dict(zip(symbols, held, strict=True))
    plan = plan_orders(dict(zip(symbols, weights, strict=True)), before, PRICES, 50_000)
    worth = sum(shares * PRICES[symbol] for symbol, shares in plan.positions.items())
    assert plan.cash >= -1e-6
    assert worth + plan.cash + plan.cost == pytest.approx(50_000)


def test_each_symbol_costs_its_own_and_buys_may_borrow_what_is_allowed() -> None:
    settings = OrderSettings(cost=0.001, costs={"TLT": 0.01}, borrowed=0.5)
    plan = plan_orders({"SPY": 1.0, "TLT": 0.5}, {}, {"SPY": 100.0, "TLT": 50.0}, 10_000, settings)
    # 100 shares of each would cost 10,010 and 5,050; 15,000 are there.
    assert {order.symbol: order.cost for order in plan.orders} == {
        "SPY": pytest.approx(9.9),
        "TLT": pytest.approx(50.0),
    }
    assert plan.cash == pytest.approx(-4_959.9)
    assert [one.reason for one in plan.untraded] == ["the cash does not reach"], "its costs are not lent"


def test_buys_that_the_cash_does_not_reach_for_get_the_same_part_of_it() -> None:
    # 10,000 in all, of which OLD, which nobody trades here, is 7,000: 3,000 for targets of 4,000 and 4,000.
    prices = {"AAA": 10.0, "ZZZ": 40.0, "OLD": 70.0}
    plan = plan_orders({"AAA": 0.4, "ZZZ": 0.4}, {"OLD": 100}, prices, 10_000, OrderSettings(cost=0.0))
    assert {order.symbol: order.shares for order in plan.orders} == {"AAA": 152, "ZZZ": 37}
    assert plan.cash == 0.0


@given(
    wanted=st.dictionaries(st.sampled_from(sorted(PRICES)), st.floats(0.05, 1.0), min_size=2),
    cash=st.floats(1_000, 20_000),
)
def test_no_lot_that_can_be_paid_is_left_out(wanted: dict[str, float], cash: float) -> None:
    settings = OrderSettings(cost=0.001)
    plan = plan_orders(wanted, {}, PRICES, 50_000, settings, cash=cash)
    missing = [one.symbol for one in plan.untraded if one.reason == "the cash does not reach"]
    assert plan.cash >= -1e-6
    assert all(PRICES[symbol] * 1.001 > plan.cash for symbol in missing)


def test_a_negative_target_is_sold_short() -> None:
    plan = plan_orders({"SPY": -0.3}, {}, {"SPY": 100.0}, 10_000, OrderSettings(cost=0.0))
    assert plan.positions == {"SPY": -30.0}
    assert plan.cash == pytest.approx(13_000)
