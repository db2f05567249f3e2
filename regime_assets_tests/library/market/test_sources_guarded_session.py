"""The guards around every request: host, scheme, redirects, size, time."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator

import pytest
from curl_cffi.requests.exceptions import HTTPError, RequestException, Timeout

from regime_assets.library.market.sources.base import SourceError
from regime_assets.library.market.sources.guarded_session import GuardedSession
from regime_assets_tests.library.market.vendor_server import Answer, VendorServer, running_server


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with running_server() as running:
        yield running


def session(server: VendorServer, redirects: int = 0) -> GuardedSession:
    return GuardedSession(
        "vendor.com", timeout_seconds=0.4, max_bytes=50_000, base_url=server.base_url, redirects=redirects
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://vendor.com/",
        "https://evilvendor.com/",
        "https://vendor.com.evil.com/",
        "https://vendor.com@evil.com/",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/",
        "file:///etc/passwd",
        "ftp://vendor.com/",
        "gopher://vendor.com/",
        "/relative",
    ],
)
def test_only_https_on_the_vendors_host_is_asked(server: VendorServer, url: str) -> None:
    with pytest.raises(SourceError, match="refused to ask"):
        session(server).get(url)
    assert server.asked == []


def test_path_and_query_reach_the_stand_in(server: VendorServer) -> None:
    server.route("/a/b", Answer("found"))
    assert session(server).get("https://api.vendor.com/a/b", params={"x": "1 2"}).text == "found"
    assert server.asked[0].query == {"x": "1 2"}


@pytest.mark.parametrize("base_url", ["http://example.com", "http://10.0.0.1", "https://vendor.com", "nonsense"])
def test_a_stand_in_is_a_server_on_this_machine(base_url: str) -> None:
    with pytest.raises(SourceError, match="no server on this machine"):
        GuardedSession("vendor.com", timeout_seconds=1, max_bytes=1, base_url=base_url)


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"x" * 2_000_000, {}), (gzip.compress(b"0" * 20_000_000), {"Content-Encoding": "gzip"})],
    ids=["long", "bomb"],
)
def test_an_answer_beyond_the_size_cap_is_cut_off(server: VendorServer, body: bytes, headers: dict[str, str]) -> None:
    server.route("/", Answer(body, headers=headers))
    with pytest.raises(RequestException, match=r"file size|max file size"):
        session(server).get("https://vendor.com/")


@pytest.mark.parametrize("slow", [Answer("x", silence_seconds=1.0), Answer("x" * 100, drip_seconds=0.05)])
def test_the_time_out_covers_the_whole_answer_and_cannot_be_raised(server: VendorServer, slow: Answer) -> None:
    server.route("/", slow)
    began = time.monotonic()
    with pytest.raises(Timeout):
        session(server).get("https://vendor.com/", timeout=30)
    assert time.monotonic() - began < 0.9


def test_redirects_are_not_followed_unless_allowed(server: VendorServer) -> None:
    server.route("/", Answer("", status=302, headers={"Location": "/next"}))
    assert session(server).get("https://vendor.com/", allow_redirects=True).status_code == 302
    assert server.times_asked("/next") == 0


def test_an_allowed_redirect_stays_with_the_vendor(server: VendorServer) -> None:
    server.route("/", Answer("", status=302, headers={"Location": "https://other.vendor.com/next"}))
    server.route("/next", Answer("there"))
    assert session(server, redirects=1).get("https://vendor.com/").text == "there"
    server.route("/next", Answer("", status=302, headers={"Location": "https://evil.com/"}))
    with pytest.raises(SourceError, match=r"evil\.com"):
        session(server, redirects=2).get("https://vendor.com/")


def test_redirects_in_a_circle_end(server: VendorServer) -> None:
    server.route("/", Answer("", status=302, headers={"Location": "/"}))
    assert session(server, redirects=3).get("https://vendor.com/").status_code == 302
    assert server.times_asked("/") == 4


def test_a_failing_server_is_an_error_and_not_an_answer(server: VendorServer) -> None:
    server.route("/", Answer("{}", status=503))
    with pytest.raises(HTTPError, match="HTTP 503"):
        session(server).get("https://vendor.com/")
