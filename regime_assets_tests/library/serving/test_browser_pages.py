"""Pages in a browser: a form takes the token, a cookie opens pages and nothing else, reports are found by session."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from regime_assets.library.home import Home
from regime_assets.library.report.morning_page import Links
from regime_assets.library.serving.browser_session import COOKIE, DAYS, BrowserSession
from regime_assets.library.serving.morning_pages import morning_route
from regime_assets.library.serving.report_pages import report_routes, shelves
from regime_assets.library.serving.service import create_service
from regime_assets_tests.library.report.mornings import a_morning
from regime_assets_tests.library.report.test_compared_page import report

TOKEN = "a-token-of-enough-characters"
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "data")
    home.pages.mkdir(parents=True)
    (home.pages / "us.morning.json").write_text(json.dumps(a_morning().to_document()))
    for horizon in ("long", "short"):
        for name in ("2024-03-14-backtest.html", "2024-03-15-backtest.html", "2024-03-15-drift.html"):
            path = home.reports / "us" / horizon / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"report {horizon} {name}")
    (home.reports / "us" / "long" / "2024-03-15-backtest.json").write_text("{}")
    (home.root / "secret.html").write_text("not for readers of reports")
    return home


@pytest.fixture
def client(home: Home) -> Iterator[TestClient]:
    pages = [morning_route(home, Links("reports")), *report_routes(home.reports)]
    service = create_service(lambda: None, TOKEN, pages=pages)
    with TestClient(service, headers=BROWSER, follow_redirects=False) as client:
        yield client


def test_a_browser_is_sent_to_the_form_and_the_token_opens_the_page(client: TestClient) -> None:
    sent = client.get("/")
    assert (sent.status_code, sent.headers["location"]) == (303, "/login")
    assert "Sign in" in client.get("/login").text
    signed = client.post("/login", data={"token": TOKEN})
    assert signed.status_code == 303
    cookie = signed.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    page = client.get("/")
    assert page.status_code == 200
    assert "The market is calm" in page.text
    assert page.headers["cache-control"] == "no-store"


def test_another_token_opens_nothing(client: TestClient) -> None:
    refused = client.post("/login", data={"token": TOKEN + "x"})
    assert refused.status_code == 401
    assert "That is not the token." in refused.text
    assert "set-cookie" not in refused.headers
    assert client.get("/").status_code == 303
    assert client.get("/", headers={"Accept": "application/json"}).status_code == 401


def test_the_cookie_opens_pages_and_nothing_else(client: TestClient) -> None:
    client.post("/login", data={"token": TOKEN})
    assert client.get("/reports/").status_code == 200
    for method, path in (("GET", "/signal"), ("GET", "/metrics"), ("POST", "/signal"), ("POST", "/")):
        assert client.request(method, path).status_code == 401, (method, path)


def test_a_cookie_expires_and_no_other_token_signs_it() -> None:
    session, now = BrowserSession(TOKEN), 1_700_000_000.0
    good = {b"cookie": f"other=1; {COOKIE}={session.issue(now)}".encode()}
    assert session.admits(good, now + DAYS * 86400 - 1)
    assert not session.admits(good, now + DAYS * 86400 + 1)
    assert not BrowserSession(TOKEN + "x").admits(good, now)
    later = good[b"cookie"].replace(b"17", b"18", 1)
    assert not session.admits({b"cookie": later}, now)
    assert not session.admits({}, now)
    assert not session.admits({b"cookie": COOKIE.encode() + b"=9999999999."}, now)


def test_reports_are_listed_by_universe_horizon_and_session_newest_first(home: Home, client: TestClient) -> None:
    found = shelves(home.reports)
    assert [(shelf.universe, shelf.horizon) for shelf in found] == [("us", "short"), ("us", "long")]
    assert [session for session, _ in found[0].sessions] == ["2024-03-15", "2024-03-14"]
    assert found[0].sessions[0][1][1] == ("drift", "us/short/2024-03-15-drift.html")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    index = client.get("/reports/", headers=bearer).text
    for shelf in found:
        for _, kinds in shelf.sessions:
            for _, address in kinds:
                assert f'href="{address}"' in index
                assert client.get(f"/reports/{address}", headers=bearer).text.startswith("report")


@pytest.mark.parametrize(
    "path", ["us/long/2024-01-01-backtest.html", "../secret.html", "%2e%2e/secret.html", "us/long"]
)
def test_what_is_no_report_is_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/reports/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code in (303, 404)
    assert "not for readers" not in answer.text


def test_a_link_out_of_the_folder_is_not_followed(home: Home, client: TestClient) -> None:
    (home.reports / "us" / "long" / "2024-03-16-backtest.html").symlink_to(home.root / "secret.html")
    path = "/reports/us/long/2024-03-16-backtest.html"
    assert client.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404


def test_two_sessions_are_compared_on_one_page_behind_the_same_sign_in(home: Home, client: TestClient) -> None:
    for session, weight in (("2024-03-14", 0.75), ("2024-03-15", 0.25)):
        report(home.reports / "us" / "long", session, weight, 1.0, "seed 1")
    question = "/reports/compare?universe=us&horizon=long&first=2024-03-14&second=2024-03-15"
    assert client.get(question).status_code == 303
    client.post("/login", data={"token": TOKEN})
    assert "<option selected>2024-03-14</option>" in client.get("/reports/").text
    page = client.get(question)
    assert page.status_code == 200
    assert "2024-03-14 beside 2024-03-15" in page.text
    for other in ("first=2024-03-13", "first=../../secret", "universe=../us"):
        assert client.get(f"{question}&{other}").status_code == 404, other
