"""Alerts as configuration: what is refused, and that no secret fits in."""

import pytest
from pydantic import ValidationError

from regime_assets.library.universe.alert_settings import AlertChoice

MAIL = {"host": "smtp.example.org", "sender": "a@example.org", "to": ["b@example.org"]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "need a channel"),
        ({"slack": {"channel": "#quant", "token": "xoxb-1"}}, "Extra inputs are not permitted"),
        ({"webhook": {"url": "https://example.org/secret"}}, "Extra inputs are not permitted"),
        ({"email": {**MAIL, "password": "p"}}, "Extra inputs are not permitted"),
        ({"email": {**MAIL, "user": "a", "security": "none"}}, "in the clear"),
        ({"email": {**MAIL, "to": ["b@example.org\nBcc: c@example.org"]}}, "should match pattern"),
        ({"email": {**MAIL, "to": []}}, "at least 1 item"),
        ({"slack": {"channel": "#quant"}, "ui": "localhost:3000"}, "should match pattern"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AlertChoice.model_validate(values)


def test_one_channel_is_enough() -> None:
    chosen = AlertChoice.model_validate({"email": MAIL})
    assert chosen.email is not None
    assert chosen.email.security == "starttls"
    assert chosen.slack is None
