"""Slack, mail and webhooks against servers that really listen."""

import datetime
import ipaddress
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from regime_assets.library.alerts.channels import DeliveryError, send_by_mail, send_to_slack, send_to_webhook
from regime_assets.library.universe.alert_settings import EmailChoice, MissingSecretError, SlackChoice, WebhookChoice
from regime_assets_tests.library.alerts.receivers import ALERT, free_port, http_receiver, mail_receiver

HOSTILE = replace(ALERT, reason="<!channel> & <http://evil.example|click>")


def test_slack_gets_the_alert_on_its_channel_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    with http_receiver() as slack:
        send_to_slack(ALERT, SlackChoice(channel="#quant", api=slack.url))
    (posted,) = slack.posted
    assert posted.path == "/chat.postMessage"
    assert posted.headers["authorization"] == "Bearer xoxb-secret"
    assert posted.body["channel"] == "#quant"
    for part in ("roll back and alert", "2022-12-23", "tiny/long/live_performance", "0a1b", ALERT.link):
        assert part in posted.body["text"]
    assert "xoxb-secret" not in posted.body["text"]


def test_slack_markup_in_a_reason_is_shown_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    with http_receiver() as slack:
        send_to_slack(HOSTILE, SlackChoice(channel="#quant", api=slack.url))
    text = slack.posted[0].body["text"]
    assert "&lt;!channel&gt; &amp; &lt;http://evil.example|click&gt;" in text
    assert text.count("<") == 1, "only the link to the UI is markup"


@pytest.mark.parametrize(("answer", "status"), [({"ok": False, "error": "not_in_channel"}, 200), ({"ok": False}, 503)])
def test_what_slack_refuses_is_told_without_the_token(
    answer: dict[str, object], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    with http_receiver() as slack:
        slack.answer, slack.statuses = answer, [status]
        with pytest.raises(DeliveryError, match=r"not_in_channel|503") as refused:
            send_to_slack(ALERT, SlackChoice(channel="#quant", api=slack.url))
    assert "xoxb" not in str(refused.value)


def test_a_missing_secret_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SLACK_BOT_TOKEN", "REGIME_ASSETS_SMTP_PASSWORD", "REGIME_ASSETS_WEBHOOK_URL"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(MissingSecretError, match="SLACK_BOT_TOKEN is not set: slack"):
        send_to_slack(ALERT, SlackChoice(channel="#quant"))
    with pytest.raises(MissingSecretError, match="REGIME_ASSETS_SMTP_PASSWORD is not set"):
        send_by_mail(ALERT, EmailChoice(host="127.0.0.1", sender="a@b.c", to=("d@e.f",), user="a"))
    with pytest.raises(MissingSecretError, match="REGIME_ASSETS_WEBHOOK_URL is not set"):
        send_to_webhook(ALERT, WebhookChoice())
    monkeypatch.setenv("REGIME_ASSETS_WEBHOOK_URL", "http://127.0.0.1:9/hook")
    with pytest.raises(MissingSecretError, match="REGIME_ASSETS_WEBHOOK_TOKEN is not set"):
        send_to_webhook(ALERT, WebhookChoice(bearer=True))


def test_a_webhook_gets_the_fields_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIME_ASSETS_WEBHOOK_TOKEN", "hush")
    with http_receiver() as hook:
        monkeypatch.setenv("REGIME_ASSETS_WEBHOOK_URL", f"{hook.url}hooks/T0/secret")
        send_to_webhook(ALERT, WebhookChoice(bearer=True))
        send_to_webhook(ALERT, WebhookChoice())
    first, second = hook.posted
    assert first.headers["authorization"] == "Bearer hush"
    assert "authorization" not in second.headers
    assert first.body["decision"] == "roll back and alert"
    assert first.body["reason"] == ALERT.reason
    assert "&lt;its&gt;" in first.body["text"]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"], "one event, one key"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_a_webhook_refuses_is_told_without_its_address(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as hook:
        hook.statuses = [status]
        monkeypatch.setenv("REGIME_ASSETS_WEBHOOK_URL", f"{hook.url}hooks/secret")
        with pytest.raises(DeliveryError, match=str(status)) as refused:
            send_to_webhook(ALERT, WebhookChoice())
    assert "secret" not in str(refused.value)
    assert len(hook.posted) == 1, "a redirect is not followed"


def test_a_webhook_that_nobody_answers_keeps_its_address_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGIME_ASSETS_WEBHOOK_URL", f"http://127.0.0.1:{free_port()}/secret")
    with pytest.raises(DeliveryError, match="not reached") as refused:
        send_to_webhook(ALERT, WebhookChoice())
    assert "secret" not in str(refused.value)


def mail(port: int, **extra: object) -> EmailChoice:
    values = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "regimes@example.org"}
    return EmailChoice.model_validate({**values, "to": ["a@example.org", "b@example.org"], **extra})


def test_a_mail_reaches_all_addresses_as_plain_text() -> None:
    with mail_receiver() as server:
        send_by_mail(replace(ALERT, reason="line one\nBcc: nobody@example.org"), mail(server.port))
    (received,) = server.mails
    assert received["Subject"] == "[tiny] roll back and alert: tiny/long/live_performance 2022-12-23"
    assert received["To"] == "a@example.org, b@example.org"
    assert received["Bcc"] is None
    assert received.get_content_type() == "text/plain"
    body = received.get_payload(decode=True)
    assert isinstance(body, bytes)
    for part in ("line one", "2022-12-23", "0a1b", ALERT.link):
        assert part in body.decode()


def test_one_event_has_one_message_id() -> None:
    with mail_receiver() as server:
        send_by_mail(ALERT, mail(server.port))
        send_by_mail(ALERT, mail(server.port))
    first, second = server.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_a_mail_server_that_refuses_or_is_away_is_named() -> None:
    with mail_receiver() as server:
        server.refuses = True
        with pytest.raises(DeliveryError, match=r"127.0.0.1: SMTPDataError 451"):
            send_by_mail(ALERT, mail(server.port))
    with pytest.raises(DeliveryError, match=r"127.0.0.1: ConnectionRefusedError"):
        send_by_mail(ALERT, mail(server.port))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_password_goes_over_tls_to_a_server_whose_certificate_is_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIME_ASSETS_SMTP_PASSWORD", "right")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with mail_receiver(tls_context=tls, auth_require_tls=True) as server:
        choice = mail(server.port, security="starttls", user="regimes")
        with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
            send_by_mail(ALERT, choice)
        assert server.logins == [], "the password stays here"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send_by_mail(ALERT, choice)
        assert server.logins == [("regimes", "right")]
        monkeypatch.setenv("REGIME_ASSETS_SMTP_PASSWORD", "wrong-secret")
        with pytest.raises(DeliveryError, match="SMTPAuthenticationError 535") as refused:
            send_by_mail(ALERT, choice)
    assert "secret" not in str(refused.value)
    assert len(server.mails) == 1
