"""JSON from a vendor's API, with its errors sorted and its key kept out of every message.

libcurl's own messages and our exceptions name the host and the status, never the query string, and whatever text a
vendor sends (Alpha Vantage repeats the key in its rate-limit note) is redacted before it can be shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from regime_assets.library.market.sources.base import SourceError
from regime_assets.library.market.sources.pacing import Unavailable

if TYPE_CHECKING:
    from regime_assets.library.market.sources.guarded_session import GuardedSession

LONGEST_QUOTED_TEXT = 300


class JsonAnswer(NamedTuple):
    """A vendor's answer below status 500; `document` is None when an error answer is no JSON."""

    status: int
    document: Any


def from_environment(variable: str, purpose: str) -> str:
    """The value of an environment variable, read when it is needed so that no object carries it.

    Raises:
        SourceError: it is not set.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SourceError(f"{purpose}: set the environment variable {variable}")
    return value


def quoted(text: object, secret: str) -> str:
    """A vendor's words, without the secret and not longer than a log line bears."""
    words = " ".join(str(text).split())
    return (words.replace(secret, "***") if secret else words)[:LONGEST_QUOTED_TEXT]


class VendorClient:
    """GET requests to one vendor's host.

    Args:
        vendor: the name for messages.
        host: the vendor's host; subdomains are allowed.
        timeout_seconds: per request.
        max_bytes: per decompressed answer.
        base_url: a server on this machine that stands in for the vendor.
    """

    def __init__(self, vendor: str, host: str, timeout_seconds: float, max_bytes: int, base_url: str | None) -> None:
        self._vendor = vendor
        self._host = host
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._base_url = base_url

    def get_json(
        self, url: str, query: Mapping[str, str | int], headers: Mapping[str, str] | None = None
    ) -> JsonAnswer:
        """The JSON document at `url`.

        Raises:
            Unavailable: no answer, a server error, a rate limit, or an answer that is no JSON; worth another try.
            SourceError: a redirect, or a URL that leads away from the vendor.
        """
        from curl_cffi.requests.exceptions import HTTPError, RequestException, Timeout

        try:
            response = self._session.get(url, params=dict(query), headers=dict(headers or {}))
        except Timeout:
            raise Unavailable(f"no answer within {self._timeout_seconds:g} s") from None
        except HTTPError as error:
            raise Unavailable(str(error), self._session.retry_after) from None
        except RequestException as error:
            raise Unavailable(f"request failed ({type(error).__name__}, curl code {error.code})") from None
        if 300 <= response.status_code < 400:
            raise SourceError(f"{self._vendor} redirects (HTTP {response.status_code}), which is not followed")
        if response.status_code == 429:
            raise Unavailable("rate limited (HTTP 429)", self._session.retry_after)
        try:
            return JsonAnswer(response.status_code, response.json())
        except ValueError:
            if response.status_code >= 400:
                return JsonAnswer(response.status_code, None)
            raise Unavailable(f"malformed answer: {len(response.content)} bytes that are no JSON") from None

    @cached_property
    def _session(self) -> GuardedSession:
        from regime_assets.library.market.sources.guarded_session import GuardedSession

        return GuardedSession(
            self._host,
            timeout_seconds=self._timeout_seconds,
            max_bytes=self._max_bytes,
            base_url=self._base_url,
        )
