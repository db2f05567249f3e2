"""How an alert leaves the house: Slack by slack_sdk, mail by smtplib, a webhook by requests.

A receiver that does not take an alert raises `DeliveryError`, whose message holds neither a secret nor an address that
is one. Nothing is tried twice here: the outbox does that.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from regime_assets.library.alerts.alert import Alert, mail_text, slack_text, webhook_body
from regime_assets.library.components import ComponentError, load_component
from regime_assets.library.universe.alert_settings import (
    SLACK_TOKEN,
    SMTP_PASSWORD,
    WEBHOOK_TOKEN,
    WEBHOOK_URL,
    AlertChoice,
    ChannelChoice,
    EmailChoice,
    MissingSecretError,
    SlackChoice,
    WebhookChoice,
    secret,
)

if TYPE_CHECKING:
    import smtplib

TIMEOUT_SECONDS = 10

Send = Callable[[Alert], None]


class DeliveryError(Exception):
    """The receiver did not take an alert; the message says why."""


def channels(choice: AlertChoice) -> dict[str, Send]:
    """The chosen channels by name."""
    found: dict[str, Send] = {}
    slack, email, webhook = choice.slack, choice.email, choice.webhook
    if slack is not None:
        found["slack"] = lambda alert: send_to_slack(alert, slack)
    if email is not None:
        found["email"] = lambda alert: send_by_mail(alert, email)
    if webhook is not None:
        found["webhook"] = lambda alert: send_to_webhook(alert, webhook)
    for own in choice.channels:
        found[own.use] = lambda alert, own=own: send_by_own_channel(alert, own)
    return found


def send_by_own_channel(alert: Alert, choice: ChannelChoice) -> None:
    """Hand an alert to a channel of the user's own: `Class(settings).send(alert)`.

    Raises:
        MissingSecretError: raised by the channel.
        DeliveryError: the channel is not there, does not take its settings, or raised anything. Of an error that is no
            `DeliveryError` the kind alone is told: its text may hold a secret.
    """
    try:
        channel = load_component("alerts", choice.use)
        channel(channel.Settings(**choice.settings)).send(alert)
    except (MissingSecretError, DeliveryError):
        raise
    except ComponentError as error:
        raise DeliveryError(str(error)) from None
    except Exception as error:
        raise DeliveryError(f"{choice.use} raised {type(error).__name__}") from None


def send_to_slack(alert: Alert, choice: SlackChoice) -> None:
    """Post to a Slack channel.

    Raises:
        MissingSecretError: there is no token.
        DeliveryError: Slack refused, or was not reached.
    """
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError, SlackClientError

    token = secret(SLACK_TOKEN, "slack")
    client = WebClient(token, base_url=choice.api, timeout=TIMEOUT_SECONDS)
    try:
        client.chat_postMessage(channel=choice.channel, text=slack_text(alert), unfurl_links=False)
    except SlackApiError as error:
        answer = error.response.get("error") or f"HTTP {error.response.status_code}"
        raise DeliveryError(f"Slack answered {answer}") from None
    except (SlackClientError, OSError, ValueError) as error:
        raise DeliveryError(f"Slack was not reached: {type(error).__name__}") from None


def send_by_mail(alert: Alert, choice: EmailChoice) -> None:
    """Send one mail to all addresses; its Message-ID is that of the event.

    Raises:
        MissingSecretError: a user is set and there is no password.
        DeliveryError: the server refused, or was not reached.
    """
    import smtplib
    from email.message import EmailMessage

    password = secret(SMTP_PASSWORD, "email") if choice.user is not None else ""
    message = EmailMessage()
    message["Subject"] = alert.subject
    message["From"] = choice.sender
    message["To"] = ", ".join(choice.to)
    message["Message-ID"] = f"<{alert.digest}@{choice.sender.partition('@')[2]}>"
    message.set_content(mail_text(alert))
    try:
        with _connected(choice) as server:
            if choice.user is not None:
                server.login(choice.user, password)
            refused = server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        code = getattr(error, "smtp_code", None)
        raise DeliveryError(f"{choice.host}: {type(error).__name__}{f' {code}' if code else ''}") from None
    if refused:
        raise DeliveryError(f"{choice.host} refused {', '.join(refused)}")


def send_to_webhook(alert: Alert, choice: WebhookChoice) -> None:
    """POST the alert's fields as JSON; `Idempotency-Key` is the event's.

    Raises:
        MissingSecretError: the address or the token is not set.
        DeliveryError: the answer was not 2xx, redirects included, or there was none.
    """
    import requests

    url = secret(WEBHOOK_URL, "webhook")
    headers = {"Idempotency-Key": alert.digest}
    if choice.bearer:
        headers["Authorization"] = f"Bearer {secret(WEBHOOK_TOKEN, 'webhook')}"
    try:
        answer = requests.post(
            url, json=webhook_body(alert), headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )
    except (requests.RequestException, ValueError) as error:
        raise DeliveryError(f"the webhook was not reached: {type(error).__name__}") from None
    if not 200 <= answer.status_code < 300:
        raise DeliveryError(f"the webhook answered HTTP {answer.status_code}")


def _connected(choice: EmailChoice) -> smtplib.SMTP:
    import smtplib

    if choice.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(choice.host, choice.port, timeout=TIMEOUT_SECONDS, context=context)
    server = smtplib.SMTP(choice.host, choice.port, timeout=TIMEOUT_SECONDS)
    if choice.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
