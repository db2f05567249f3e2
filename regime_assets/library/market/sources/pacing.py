"""How a vendor is asked politely: a pause between requests, retries with backoff and jitter, and giving up early.

A vendor that fails for several symbols in a row is not asked for the rest: hundreds of symbols times minutes of
backoff would hold the whole chain up, and a rate limit is not lifted by asking more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from regime_assets.library.clock import clock
from regime_assets.library.market.sources.base import SourceError, SymbolError

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


class Unavailable(Exception):  # noqa: N818 - it is the vendor's state, raised to be retried
    """The vendor did not answer usably this time: rate limit, time-out, server error, unreadable answer.

    Attributes:
        retry_after: seconds after which the vendor wants to be asked again (its header Retry-After); None when it does
            not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Pacing:
    """Limits of one vendor.

    Attributes:
        pause_seconds: between two symbols; from the vendor's published rate limit where there is one.
        timeout_seconds: for one request, connection and whole answer together.
        attempts: per symbol, the first one included.
        backoff_seconds: wait before the second attempt, doubled before each further one; up to as much again is added
            at random, so that several machines do not ask at the same moment. A vendor that names a longer wait gets
            it.
        longest_wait_seconds: a vendor that wants to be left alone for longer is not asked again.
        give_up_after: symbols in a row without an answer after which the rest is not asked.
    """

    pause_seconds: float
    timeout_seconds: float = 20.0
    attempts: int = 4
    backoff_seconds: float = 2.0
    longest_wait_seconds: float = 120.0
    give_up_after: int = 3

    def __post_init__(self) -> None:
        if self.pause_seconds < 0 or self.backoff_seconds < 0:
            raise ValueError("pause_seconds and backoff_seconds cannot be negative")
        if self.timeout_seconds <= 0 or self.attempts < 1 or self.give_up_after < 1:
            raise ValueError("timeout_seconds, attempts and give_up_after must be positive")


def fetch_each(
    source: str, symbols: Sequence[str], fetch_one: Callable[[str], T], pacing: Pacing
) -> tuple[dict[str, T], dict[str, str]]:
    """Ask for one symbol after the other.

    Args:
        source: the vendor's name, for messages.
        symbols: checked symbols.
        fetch_one: raises `SymbolError` (not retried), `Unavailable` (retried) or `SourceError` (ends it all).
        pacing: the vendor's limits.

    Returns:
        What was fetched, and for every other symbol the reason why not.

    Raises:
        SourceError: not one symbol was answered; the vendor is down or refuses us.
    """
    fetched: dict[str, T] = {}
    failures: dict[str, str] = {}
    unanswered, reason = 0, ""
    for position, symbol in enumerate(symbols):
        if unanswered == pacing.give_up_after:
            failures[symbol] = f"not asked: {source} had not answered for {unanswered} symbols in a row"
            continue
        if position:
            time.sleep(pacing.pause_seconds)
        try:
            fetched[symbol] = persistently(partial(fetch_one, symbol), pacing)
            unanswered = 0
        except SymbolError as error:
            failures[symbol] = str(error)
            unanswered = 0
        except Unavailable as error:
            failures[symbol] = reason = f"{error}; attempts: {pacing.attempts}"
            unanswered += 1
    if unanswered == min(len(symbols), pacing.give_up_after) and not fetched:
        raise SourceError(f"{source} is down: none of {len(symbols)} symbols was answered; {reason}")
    return fetched, failures


def persistently(ask: Callable[[], T], pacing: Pacing) -> T:
    """What `ask` returns, after as many attempts as `pacing` allows.

    Raises:
        Unavailable: of the last attempt.
    """
    from tenacity import Retrying, retry_if_exception_type, wait_exponential_jitter

    backoff = wait_exponential_jitter(initial=pacing.backoff_seconds, max=math.inf, jitter=pacing.backoff_seconds)

    def wait(state: RetryCallState) -> float:
        return max(backoff(state), _asked_to_wait(state))

    def stop(state: RetryCallState) -> bool:
        return state.attempt_number >= pacing.attempts or _asked_to_wait(state) > pacing.longest_wait_seconds

    retrying = Retrying(
        retry=retry_if_exception_type(Unavailable),
        wait=wait,
        stop=stop,
        sleep=time.sleep,
        reraise=True,
    )
    return retrying(ask)


def retry_after(header: str | None) -> float | None:
    """Seconds that a header Retry-After asks for; it names seconds, or a moment."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - clock.system_now()).total_seconds())
    except (TypeError, ValueError):
        return None


def _asked_to_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after or 0.0) if isinstance(error, Unavailable) else 0.0
