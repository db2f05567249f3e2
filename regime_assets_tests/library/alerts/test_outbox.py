"""No alert is lost, none is sent twice, and a receiver that is away holds up nobody else."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.alerts.alert import Alert
from regime_assets.library.alerts.channels import DeliveryError
from regime_assets.library.alerts.outbox import LONGEST_PAUSE_SECONDS, Delivery, addressed, deliver
from regime_assets.library.universe.alert_settings import MissingSecretError
from regime_assets_tests.library.alerts.receivers import ALERT


def numbered(count: int) -> list[Alert]:
    return [replace(ALERT, id=f"event-{number}") for number in range(count)]


class Receiver:
    """Takes alerts while it is up; each attempt takes `seconds` of the clock."""

    def __init__(self, clock: list[float], seconds: float = 0.0) -> None:
        self.up, self.taken, self.attempts = True, list[str](), 0
        self._clock, self._seconds = clock, seconds

    def __call__(self, alert: Alert) -> None:
        self.attempts += 1
        self._clock[0] += self._seconds
        if not self.up:
            raise DeliveryError("away")
        self.taken.append(alert.id)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), max_size=12))
def test_whatever_fails_each_alert_reaches_each_channel_once_and_in_order(
    rounds: list[tuple[bool, bool, int]],
) -> None:
    clock = [0.0]
    one, two = Receiver(clock), Receiver(clock)
    waiting: tuple[Delivery, ...] = ()
    told = 0
    for one_up, two_up, new in rounds:
        one.up, two.up = one_up, two_up
        alerts = [replace(ALERT, id=f"event-{told + number}") for number in range(new)]
        told += new
        waiting += addressed(alerts, ("one", "two"))
        waiting = deliver(waiting, {"one": one, "two": two}, lambda: clock[0], 20).waiting
        kept = json.dumps([delivery.to_dict() for delivery in waiting])
        waiting = tuple(Delivery.from_dict(values) for values in json.loads(kept))
        clock[0] += 60
    one.up = two.up = True
    while waiting:
        clock[0] += LONGEST_PAUSE_SECONDS
        waiting = deliver(waiting, {"one": one, "two": two}, lambda: clock[0], 20).waiting
    expected = [f"event-{number}" for number in range(told)]
    assert sorted(one.taken) == sorted(two.taken) == sorted(expected)


def test_a_receiver_that_is_away_costs_one_attempt_a_round_and_holds_up_nobody() -> None:
    clock = [0.0]
    slow, quick = Receiver(clock, seconds=10), Receiver(clock)
    slow.up = False
    done = deliver(addressed(numbered(5), ("slow", "quick")), {"slow": slow, "quick": quick}, lambda: clock[0], 20)
    assert slow.attempts == 1
    assert len(quick.taken) == 5
    assert len(done.waiting) == 5
    assert [delivery.trouble for delivery in done.failed] == ["away"]


def test_pauses_double_up_to_an_hour() -> None:
    clock = [0.0]
    receiver = Receiver(clock)
    receiver.up = False
    waiting = addressed(numbered(1), ("one",))
    pauses: list[float] = []
    for _ in range(10):
        waiting = deliver(waiting, {"one": receiver}, lambda: clock[0], 20).waiting
        pauses.append(waiting[0].not_before - clock[0])
        clock[0] = waiting[0].not_before
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    assert deliver(waiting, {"one": receiver}, lambda: clock[0] - 1, 20).failed == (), "it is not due yet"


def test_a_round_keeps_to_its_time() -> None:
    clock = [0.0]
    receiver = Receiver(clock, seconds=8)
    done = deliver(addressed(numbered(10), ("one",)), {"one": receiver}, lambda: clock[0], 20)
    assert len(receiver.taken) == 3
    assert [delivery.alert.id for delivery in done.waiting] == [f"event-{number}" for number in range(3, 10)]


def test_a_missing_secret_and_a_bug_keep_the_alert() -> None:
    def without_secret(_: Alert) -> None:
        raise MissingSecretError("the environment variable TOKEN is not set")

    def broken(_: Alert) -> None:
        raise KeyError("secret")

    done = deliver(addressed([ALERT], ("a", "b")), {"a": without_secret, "b": broken}, lambda: 0.0, 20)
    assert [d.trouble for d in done.waiting] == ["the environment variable TOKEN is not set", "unexpected KeyError"]


def test_a_channel_that_was_taken_away_is_named_and_dropped() -> None:
    done = deliver(addressed([ALERT], ("gone",)), {}, lambda: 0.0, 20)
    assert [delivery.channel for delivery in done.dropped] == ["gone"]
    assert done.waiting == ()
