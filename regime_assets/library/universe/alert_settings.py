"""Who hears of failures and decisions. Nothing here is secret: secrets come from the environment, by these names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from regime_assets.library.components import class_path

SLACK_TOKEN = "SLACK_BOT_TOKEN"
SMTP_PASSWORD = "REGIME_ASSETS_SMTP_PASSWORD"
WEBHOOK_URL = "REGIME_ASSETS_WEBHOOK_URL"
WEBHOOK_TOKEN = "REGIME_ASSETS_WEBHOOK_TOKEN"

Address = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,]+@[^@\s<>,]+$")]


class MissingSecretError(Exception):
    """A channel needs a secret that the environment does not hold; the message names the variable."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlackChoice(_Section):
    """A Slack channel; needs the token of a bot with `chat:write` in SLACK_BOT_TOKEN."""

    channel: str = Field(min_length=1, description="the channel's id, or its name with a leading #")
    api: Annotated[str, StringConstraints(pattern=r"^https?://.+/$")] = Field(
        "https://slack.com/api/", description="another address for GovSlack"
    )


class EmailChoice(_Section):
    """Plain-text mail; the password of `user` is read from REGIME_ASSETS_SMTP_PASSWORD."""

    host: str = Field(min_length=1, description="the SMTP server")
    port: int = Field(587, ge=1, le=65535, description="587 with starttls, 465 with tls")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="none: only without a user")
    user: str | None = Field(None, description="who logs in; nobody when left out")
    sender: Address
    to: tuple[Address, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> EmailChoice:
        if self.user is not None and self.security == "none":
            raise ValueError("security: none would send the user's password in the clear")
        return self


class WebhookChoice(_Section):
    """A POST of JSON; the address often is a secret itself and is read from REGIME_ASSETS_WEBHOOK_URL."""

    bearer: bool = Field(False, description="whether to send REGIME_ASSETS_WEBHOOK_TOKEN as a bearer token")


class ChannelChoice(_Section):
    """A channel of the user's own; it is looked for when the file is read, and imported when it sends."""

    use: str = Field(description="package.module:Class, or a name registered under regime_assets.alerts")
    settings: dict[str, Any] = Field(default_factory=dict, description="of the channel; never a secret")

    @field_validator("use")
    @classmethod
    def _is_there(cls, use: str) -> str:
        class_path("alerts", use)
        return use


class AlertChoice(_Section):
    """Where alerts go. A channel that is left out is not used."""

    ui: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+[^/\s]$")] = Field(
        "http://127.0.0.1:3000", description="the Dagster UI that links in alerts lead to"
    )
    slack: SlackChoice | None = None
    email: EmailChoice | None = None
    webhook: WebhookChoice | None = None
    channels: tuple[ChannelChoice, ...] = Field((), description="channels of your own")

    @model_validator(mode="after")
    def _some_channel(self) -> AlertChoice:
        if not (self.slack or self.email or self.webhook or self.channels):
            raise ValueError("alerts need a channel: slack, email, webhook, or one of your own under channels")
        return self


def secret(variable: str, channel: str, environment: Mapping[str, str] | None = None) -> str:
    """The value of an environment variable.

    Raises:
        MissingSecretError: it is not set, or empty.
    """
    value = (os.environ if environment is None else environment).get(variable, "")
    if not value:
        raise MissingSecretError(f"the environment variable {variable} is not set: {channel} alerts need it")
    return value
