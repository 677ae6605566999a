"""The MQTT broker of a hospital: the settings that box and collector share, and their log-in at the broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from console.settings import ConfigError, Section

if TYPE_CHECKING:  # not every program has paho
    from paho.mqtt.client import Client


class BrokerSettings(Section):
    """The hospital's MQTT 5 broker."""

    host: str = Field("127.0.0.1", description="name or address of the broker")
    port: int = Field(1883, ge=1, le=65535, description="8883 is usual with tls")
    username: str | None = Field(None, description="none: no password is sent")
    password_file: Path | None = Field(None, description="its first line is the password")
    tls: bool = Field(False, description="encrypt, and verify the broker's certificate")
    ca_file: Path | None = Field(None, description="authority of the broker's certificate; none: the system's")
    cert_file: Path | None = Field(None, description="this program's certificate, where the broker asks for one")
    key_file: Path | None = Field(None, description="private key of cert_file")
    keepalive_s: int = Field(30, ge=5, description="seconds between keep-alive packets")


def set_credentials(client: Client, broker: BrokerSettings) -> None:
    """Give a client its user name, password and certificates. Raises ConfigError for a file that cannot be used."""
    if broker.username is not None:
        client.username_pw_set(broker.username, _password(broker.password_file))
    if broker.tls:
        files = (broker.ca_file, broker.cert_file, broker.key_file)
        ca_certs, certfile, keyfile = (None if file is None else str(file) for file in files)
        try:
            client.tls_set(ca_certs, certfile, keyfile)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            raise ConfigError(f"broker: certificate files cannot be used ({error}); see ca_file, cert_file") from None


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r") or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"broker.password_file: {file}: cannot be read ({error})") from None
