"""The one HTTP client of all vendors: a curl session that talks to a single vendor and nobody else.

libcurl enforces the total time-out and the size cap itself, on the decompressed answer, however slowly or endlessly it
arrives. Import this module inside functions: curl_cffi is only needed when a vendor is really asked.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from curl_cffi import CurlOpt
from curl_cffi.requests import Response, Session
from curl_cffi.requests.exceptions import HTTPError

from regime_assets.library.market.sources.base import SourceError
from regime_assets.library.market.sources.pacing import retry_after

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


class GuardedSession(Session[Response]):
    """A session that refuses every URL that is not https on the vendor's host.

    Args:
        host: the vendor's host name; its subdomains are allowed too.
        timeout_seconds: upper bound of every request, whatever the caller asks for.
        max_bytes: upper bound of every decompressed answer.
        base_url: a server on this machine that stands in for the vendor; requests for the vendor go there instead.
        redirects: how many redirects to follow, each only to the vendor's own host.
        impersonate: the browser whose TLS handshake to imitate, for a vendor that answers browsers only.

    Raises:
        SourceError: `base_url` names another machine.
    """

    def __init__(
        self,
        host: str,
        *,
        timeout_seconds: float,
        max_bytes: int,
        base_url: str | None = None,
        redirects: int = 0,
        impersonate: Any = None,
    ) -> None:
        if base_url is not None and urlsplit(base_url).hostname not in LOOPBACK_HOSTS:
            raise SourceError(f"base_url {base_url!r} is no server on this machine; leave it out to ask {host}")
        super().__init__(
            impersonate=impersonate,
            allow_redirects=False,
            trust_env=base_url is None,  # a proxy from the environment cannot reach this machine's own servers
            curl_options={CurlOpt.MAXFILESIZE_LARGE: max_bytes},
        )
        self._host = host
        self._timeout_seconds = timeout_seconds
        self._base_url = base_url
        self._redirects = redirects
        self.last_status = 0
        self.retry_after: float | None = None

    def request(self, method: Any, url: str, **arguments: Any) -> Response:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As `Session.request`, within the guards; the caller's time-out and redirect settings are overruled.

        Raises:
            SourceError: the URL, or a redirect, leads away from the vendor.
            HTTPError: the server failed (5xx), which callers treat like a broken connection.
        """
        arguments |= {"timeout": self._timeout_seconds, "allow_redirects": False}
        response = super().request(method, self._guarded(url), **arguments)
        for _ in range(self._redirects):
            target = response.headers.get("location")
            if not (300 <= response.status_code < 400 and target):
                break
            url = urljoin(url, target)
            response = super().request("GET", self._guarded(url), timeout=self._timeout_seconds, allow_redirects=False)
        self.last_status = response.status_code
        self.retry_after = retry_after(response.headers.get("retry-after"))
        if response.status_code >= 500:
            raise HTTPError(f"HTTP {response.status_code}", response=response)
        return response

    def _guarded(self, url: str) -> str:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" or not (host == self._host or host.endswith(f".{self._host}")):
            raise SourceError(f"refused to ask {parts.scheme}://{host}: only https://{self._host} is allowed")
        if self._base_url is None:
            return url
        stand_in = urlsplit(self._base_url)
        return urlunsplit((stand_in.scheme, stand_in.netloc, parts.path, parts.query, ""))
