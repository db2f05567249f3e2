"""Alerts on their way: each one to each channel, until the receiver has taken it.

Pure: takes what waits, returns what still waits. Whoever keeps the result between two calls loses no alert, however
long a receiver is away; one that is killed between sending and keeping sends the last few again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from regime_assets.library.alerts.alert import Alert
from regime_assets.library.alerts.channels import DeliveryError, Send
from regime_assets.library.universe.alert_settings import MissingSecretError

FIRST_PAUSE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 3600


@dataclass(frozen=True)
class Delivery:
    """One alert on its way to one channel.

    Attributes:
        alert: what to say.
        channel: to whom.
        attempts: how often the channel did not take it.
        not_before: the epoch second from which it may be tried again.
        trouble: why the last attempt failed.
    """

    alert: Alert
    channel: str
    attempts: int = 0
    not_before: float = 0.0
    trouble: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Nested dicts of strings and numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The delivery that `to_dict` flattened."""
        known = dict(values)
        return cls(alert=Alert.from_dict(known.pop("alert")), **known)


@dataclass(frozen=True)
class Round:
    """What one round of deliveries did.

    Attributes:
        waiting: what is still to be delivered, oldest first.
        delivered: what was taken.
        failed: what was tried and not taken; it is in `waiting` as well.
        dropped: what was meant for a channel that is no longer there.
    """

    waiting: tuple[Delivery, ...]
    delivered: tuple[Delivery, ...]
    failed: tuple[Delivery, ...]
    dropped: tuple[Delivery, ...]


def addressed(alerts: Iterable[Alert], channels: Iterable[str]) -> tuple[Delivery, ...]:
    """Each alert to each channel."""
    names = tuple(channels)
    return tuple(Delivery(alert, name) for alert in alerts for name in names)


def deliver(
    waiting: Sequence[Delivery], channels: Mapping[str, Send], clock: Callable[[], float], budget_seconds: float
) -> Round:
    """Try what is due, oldest first.

    A channel that fails is left alone for the rest of the round, so that a receiver that hangs costs one timeout; the
    other channels go on. After `budget_seconds` nothing new is begun.
    """
    began = clock()
    still: list[Delivery] = []
    delivered: list[Delivery] = []
    failed: list[Delivery] = []
    dropped: list[Delivery] = []
    for delivery in waiting:
        now = clock()
        if delivery.channel not in channels:
            dropped.append(delivery)
            continue
        resting = any(one.channel == delivery.channel for one in failed)
        if resting or delivery.not_before > now or now - began > budget_seconds:
            still.append(delivery)
            continue
        trouble = _tried(channels[delivery.channel], delivery.alert)
        if trouble is None:
            delivered.append(delivery)
            continue
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(delivery.attempts, 10), LONGEST_PAUSE_SECONDS)
        again = replace(delivery, attempts=delivery.attempts + 1, not_before=now + pause, trouble=trouble)
        failed.append(again)
        still.append(again)
    return Round(tuple(still), tuple(delivered), tuple(failed), tuple(dropped))


def _tried(send: Send, alert: Alert) -> str | None:
    """None when it was taken, otherwise why not."""
    try:
        send(alert)
    except (DeliveryError, MissingSecretError) as error:
        return str(error)
    except Exception as error:  # a channel's own fault keeps the alert and must not stop the other channels
        return f"unexpected {type(error).__name__}"
    return None
