"""From a stored signal to orders: planned from files, or sent to a paper account within limits, and stored."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from regime_assets.cli import main
from regime_assets.library.brokers.broker import Account, BrokerError, LimitError
from regime_assets.library.brokers.order_log import OrderLog
from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.steps.daily_signal import TABLE
from regime_assets.library.steps.orders import fetch_fills, open_broker, plan_session, read_holdings, send
from regime_assets.library.trading.orders import OrderError
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import NotMaterializedError, Workspace
from regime_assets_tests.library.brokers.alpaca_server import PaperAccount, alpaca_server

pytest.importorskip("alpaca")

SESSION = date(2018, 12, 28)
EVENING = datetime(2018, 12, 29, 14, 0, tzinfo=UTC)
UNIVERSE = """
name: pair
source: {kind: sample}
history_start: 2017-01-03
first_partition: 2018-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [AAPL, JPM]
"""


def workspace_of(folder: Path, orders: str = "") -> Workspace:
    """A universe with prices and a signal: half in AAPL, a quarter in JPM."""
    (folder / "pair.yaml").write_text(UNIVERSE + orders)
    workspace = Workspace(load_universe(folder / "pair.yaml"), Home(folder / "home"))
    fetched = SampleSource().fetch(workspace.universe.instruments, date(2018, 12, 3), date(2018, 12, 31))
    workspace.market.ingest(fetched, "sample", datetime(2018, 12, 31, tzinfo=UTC), workspace.calendar)
    rows = pd.DataFrame({"symbol": ["AAPL", "JPM"], "weight": [0.5, 0.25], "regime": "calm", "exposure": 0.75})
    workspace.database.replace_partition(TABLE, {"universe": "pair", "as_of": SESSION}, rows)
    return workspace


@pytest.fixture
def evening() -> Generator[None]:
    """The morning on which the session's decision is due, before the next session ends."""
    with clock.at(EVENING):
        yield


def closes(workspace: Workspace) -> dict[str, float]:
    bars = workspace.market.bars(SESSION, SESSION, SESSION, workspace.calendar, ["AAPL", "JPM"])
    return dict(zip(bars["symbol"], bars["close"], strict=True))


@pytest.mark.usefixtures("evening")
def test_the_command_writes_orders_that_add_up_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = workspace_of(tmp_path)
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(tmp_path))
    monkeypatch.setenv("REGIME_ASSETS_HOME", str(tmp_path / "home"))
    held = tmp_path / "held.csv"
    held.write_text("symbol,shares\nAAPL,10\nJPM,500\n")
    command = ["orders", "pair", "--holdings", str(held), "--capital", "100000"]
    assert main([*command, "--csv", str(tmp_path / "orders.csv"), "--json"]) == 0
    price = closes(workspace)
    wanted = {"AAPL": int(50_000 / price["AAPL"]), "JPM": int(25_000 / price["JPM"])}
    document = json.loads(capsys.readouterr().out)
    by_symbol = {order["symbol"]: order for order in document["orders"]}
    assert by_symbol["JPM"]["side"] == "sell"
    assert by_symbol["JPM"]["shares"] == 500 - wanted["JPM"]
    assert by_symbol["AAPL"]["side"] == "buy"
    assert by_symbol["AAPL"]["shares"] == wanted["AAPL"] - 10
    assert document["positions"] == wanted
    paid = sum(0.001 * order["shares"] * price[order["symbol"]] for order in document["orders"])
    assert document["cost"] == pytest.approx(paid)
    assert document["cash"] == pytest.approx(100_000 - sum(wanted[s] * price[s] for s in wanted) - paid)
    assert list(pd.read_csv(tmp_path / "orders.csv")["symbol"]) == ["JPM", "AAPL"]
    assert main(command) == 0
    assert "expected costs" in capsys.readouterr().out


@pytest.mark.usefixtures("evening")
def test_without_a_broker_nothing_can_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace_of(tmp_path)
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(tmp_path))
    monkeypatch.setenv("REGIME_ASSETS_HOME", str(tmp_path / "home"))
    assert main(["orders", "pair", "--send"]) == 1
    assert "names no broker, so nothing was sent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ticker,shares\nA,1\n", "needs symbol and shares"),
        ("symbol,shares\nA,many\n", "line 2: the shares of A are 'many'"),
        ("symbol,shares\nA,1\nA,2\n", "line 3: A stands there twice"),
    ],
)
def test_a_holdings_file_that_is_none_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "held.csv").write_text(text)
    with pytest.raises(OrderError, match=message):
        read_holdings(tmp_path / "held.csv")


@pytest.mark.usefixtures("evening")
def test_a_signal_that_is_not_there_is_no_order(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path)
    with pytest.raises(NotMaterializedError, match="no signal of 2018-12-27"):
        plan_session(workspace, Account(1000.0, {}), date(2018, 12, 27))


def broker_of(address: str, largest_order: float = 1e6) -> str:
    limits = f"largest_order: {largest_order}, largest_turnover: 1.0"
    return f"orders: {{broker: alpaca_paper, address: '{address}', {limits}}}\n"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> PaperAccount:
    monkeypatch.setenv("ALPACA_API_KEY", "key")
    monkeypatch.setenv("ALPACA_SECRET_KEY", "secret")
    return PaperAccount(100_000.0, 40_000.0, {"JPM": 500.0, "BOND": 100.0}, {"AAPL", "JPM"})


@pytest.mark.usefixtures("evening")
def test_orders_are_sent_once_filled_and_stored(tmp_path: Path, account: PaperAccount) -> None:
    with alpaca_server(account) as address:
        workspace = workspace_of(tmp_path, broker_of(address))
        broker = open_broker(workspace)
        for _ in range(2):  # a command that was repeated, or cut short
            planned = plan_session(workspace, broker.account())
            sent = send(workspace, broker, planned)
        assert [one.refusal for one in sent] == ["", ""]
        assert len(account.orders) == 2
        assert {order["time_in_force"] for order in account.orders.values()} == {"cls"}
        assert account.keys == {"key"}
        account.fill(150.0)
        fills = fetch_fills(workspace, broker)
    assert {fill.symbol: fill.shares for fill in fills} == {o.symbol: o.shares for o in planned.plan.orders}
    stored = OrderLog(workspace.database, "pair").fills()
    assert list(stored["price"]) == [150.0, 150.0]
    assert list(stored["capital"]) == [100_000.0, 100_000.0]


@pytest.mark.usefixtures("evening")
def test_what_the_broker_refuses_is_stored_with_its_reason(tmp_path: Path, account: PaperAccount) -> None:
    account.tradable.remove("AAPL")
    with alpaca_server(account) as address:
        workspace = workspace_of(tmp_path, broker_of(address))
        broker = open_broker(workspace)
        sent = send(workspace, broker, plan_session(workspace, broker.account()))
    assert {one.order.symbol: one.refusal for one in sent} == {"AAPL": "asset AAPL not found", "JPM": ""}
    assert OrderLog(workspace.database, "pair").sent_references(SESSION) == ["pair-20181228-sell-JPM"]


@pytest.mark.usefixtures("evening")
def test_a_limit_stops_everything_before_anything_is_sent(tmp_path: Path, account: PaperAccount) -> None:
    with alpaca_server(account) as address:
        workspace = workspace_of(tmp_path, broker_of(address, largest_order=20_000))
        broker = open_broker(workspace)
        with pytest.raises(LimitError, match=r"AAPL is worth .* more than orders\.largest_order"):
            send(workspace, broker, plan_session(workspace, broker.account()))
    assert not account.orders


def test_a_stale_signal_is_refused(tmp_path: Path, account: PaperAccount) -> None:
    with alpaca_server(account) as address:
        workspace = workspace_of(tmp_path, broker_of(address))
        broker = open_broker(workspace)
        with clock.at(datetime(2019, 1, 1, 14, 0, tzinfo=UTC)):
            planned = plan_session(workspace, broker.account())
            with pytest.raises(LimitError, match="is of 2018-12-28, and the session of 2018-12-31 is over"):
                send(workspace, broker, planned)
    assert not account.orders


@pytest.mark.usefixtures("account")
def test_keys_and_address_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = workspace_of(tmp_path, broker_of("http://127.0.0.1:9"))
    with pytest.raises(BrokerError, match="did not answer"):
        open_broker(workspace).account()
    monkeypatch.delenv("ALPACA_SECRET_KEY")
    with pytest.raises(BrokerError, match="needs ALPACA_SECRET_KEY in the environment"):
        open_broker(workspace)
