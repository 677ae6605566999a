"""The log-in at the broker, which box and collector share."""

from __future__ import annotations

from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from console.broker import BrokerSettings, set_credentials
from console.settings import ConfigError


@pytest.fixture
def client() -> mqtt.Client:
    return mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)


@pytest.mark.parametrize("text", ["secret", "secret\n", "secret\r\n", "secret\nthe file of an earlier broker\n"])
def test_the_password_is_the_first_line_of_its_file(client: mqtt.Client, tmp_path: Path, text: str) -> None:
    (tmp_path / "password").write_bytes(text.encode())
    set_credentials(client, BrokerSettings(username="site/box", password_file=tmp_path / "password"))
    assert (client.username, client.password) == ("site/box", "secret")


def test_without_a_password_only_the_user_name_is_sent(client: mqtt.Client, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for file in (None, tmp_path / "empty"):
        set_credentials(client, BrokerSettings(username="site/box", password_file=file))
        assert (client.username, client.password) == ("site/box", None)


def test_without_settings_nothing_is_sent_and_nothing_is_encrypted(client: mqtt.Client) -> None:
    set_credentials(client, BrokerSettings())
    assert (client.username, client._ssl) == (None, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"username": "u", "password_file": "no"}, r"broker\.password_file: no: cannot be read"),
        ({"tls": True, "ca_file": "no"}, "broker: certificate files cannot be used"),
        ({"tls": True, "cert_file": "no"}, "broker: certificate files cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(client: mqtt.Client, settings: dict[str, object], message: str) -> None:
    broker = BrokerSettings.model_validate(settings)
    with pytest.raises(ConfigError, match=message):
        set_credentials(client, broker)
