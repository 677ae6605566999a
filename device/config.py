"""Settings of a box, read from one YAML file.

Every setting has a default but `site`, `device`, `site_key_file` and `model.bundle`.
`pneumoflag-device config` prints them all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from console.broker import BrokerSettings
from console.settings import ConfigError, Section, load_settings

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
MIB = 1024 * 1024


class DicomConfig(Section):
    """The C-STORE receiver, a second destination of the modality beside the PACS."""

    enabled: bool = Field(True, description="receive exposures by C-STORE")
    ae_title: str = Field("PNEUMOFLAG", min_length=1, max_length=16, description="AE title the modality calls")
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for a modality on the network")
    port: int = Field(11112, ge=0, le=65535, description="0 takes a free one")
    calling_ae_titles: tuple[str, ...] = Field((), description="modalities allowed to send; empty allows all")
    max_associations: int = Field(8, ge=1, description="at one time")
    max_pdu_bytes: int = Field(131072, ge=4096, description="131072 measured fastest")
    idle_s: float = Field(30.0, gt=0, description="an association without traffic for so long is ended")
    max_object_bytes: int = Field(256 * MIB, ge=MIB, description="a larger object is refused with 0xA700")


class FolderConfig(Section):
    """The watched folder, for modalities and gateways that drop files."""

    path: Path | None = Field(None, description="none: no folder is watched")
    poll_s: float = Field(0.5, gt=0, description="seconds between two scans of the folder")
    settle_s: float = Field(
        2.0, ge=0, description="a file counts as finished when size and time have not changed for so long"
    )
    after: Literal["delete", "move"] = Field("move", description="what happens to a file once it is in the spool")


class GateConfig(Section):
    """What a missing attribute means is the site's choice."""

    modalities: tuple[str, ...] = Field(("DX", "CR"), description="values of Modality (0008,0060) that are classified")
    missing_view: Literal["caveat", "reject"] = Field("caveat", description="an exposure without a view position")
    missing_age: Literal["caveat", "reject"] = Field("caveat", description="an exposure without age or birth date")
    missing_body_part: Literal["caveat", "reject"] = Field("caveat", description="an exposure without a body part")
    files_without_dicom: Literal["caveat", "reject"] = Field("caveat", description="JPEG and PNG files")


class LimitsConfig(Section):
    """What parsing one file may cost. A worker process does it, and its death harms nothing else."""

    prepare_s: float = Field(15.0, gt=0, description="seconds to parse, decode and preprocess one file")
    memory_mib: int = Field(320, ge=128, description="memory the worker process may use beyond what it starts with")
    max_pixels: int = Field(64_000_000, ge=224 * 224, description="rows times columns; above: too_large")
    max_file_bytes: int = Field(256 * MIB, ge=MIB, description="above: too_large")


class ModelConfig(Section):
    """The bundle and what runs it."""

    bundle: Path = Field(description="the signed model bundle, a directory or one file", examples=["model.bundle"])
    trusted_keys: tuple[Path, ...] = Field((), description="public keys besides the shipped release keys")
    backend: Literal["auto", "cpu", "coral", "jetson"] = Field(
        "auto", description="what runs the network; auto: what the bundle was compiled for"
    )
    threads: int = Field(2, ge=1, le=64, description="of the interpreter on the CPU")
    max_infer_ms: float = Field(250.0, gt=0, description="a new model whose inference takes longer is not installed")


class BrokerConfig(BrokerSettings):
    """The hospital's MQTT 5 broker."""

    username: str | None = Field(None, description="site/device, as the shipped access list expects")
    reconnect_max_s: float = Field(30.0, ge=1, description="longest wait before the next connection attempt")


class OutboxConfig(Section):
    """The results that wait for the collector's receipt."""

    window: int = Field(200, ge=1, description="results in flight at one time: sent, and without a receipt yet")
    receipt_timeout_s: float = Field(
        10.0, gt=0, description="a result without a receipt is sent again after so long; the wait doubles"
    )
    receipt_timeout_max_s: float = Field(600.0, gt=0, description="longest such wait")
    max_tries_poison: int = Field(3, ge=1, description="refusals of one message before it moves to the dead letters")


class StorageConfig(Section):
    """Where the box keeps its state."""

    data_dir: Path = Field(Path("/var/lib/pneumoflag"), description="spool, outbox, flag history, identity")
    reserve_mib: int = Field(512, ge=1, description="C-STORE answers 0xA700 when less is free")
    ballast_mib: int = Field(
        16, ge=1, description="space released when the disk is full, so that the outbox can still shrink"
    )
    history_days: int = Field(7, ge=1, description="flags and thumbnails older than this leave the board")


class BoardConfig(Section):
    """The technologist's page, served by the box itself."""

    enabled: bool = Field(True, description="serve the flag page")
    host: str = Field("127.0.0.1", description="0.0.0.0 shows patient names to the network: put a proxy in front")
    port: int = Field(8080, ge=0, le=65535, description="0 takes a free one")
    late_after_s: float = Field(
        60.0, gt=0, description="a flag decided later than this after its exposure is marked late"
    )
    stale_after_s: float = Field(
        600.0, gt=0, description="an exposure older than this is no longer shown as the current one"
    )
    show: int = Field(50, ge=1, le=500, description="flags on the page, newest first")
    host_names: tuple[str, ...] = Field(
        (), description="names browsers use for this page, besides IP addresses, localhost and the box's own host name"
    )


class DeviceConfig(Section):
    """A whole box."""

    site: str = Field(
        pattern=NAME, description="hospital: letters, digits, . _ - (part of every topic)", examples=["hospital"]
    )
    device: str = Field(
        pattern=NAME, description="this box: letters, digits, . _ - (part of every topic)", examples=["box-1"]
    )
    site_key_file: Path = Field(description="64 hex digits; the collector holds the same key", examples=["site.key"])
    model: ModelConfig
    dicom: DicomConfig = DicomConfig()
    folder: FolderConfig = FolderConfig()
    gate: GateConfig = GateConfig()
    limits: LimitsConfig = LimitsConfig()
    broker: BrokerConfig = BrokerConfig()
    outbox: OutboxConfig = OutboxConfig()
    storage: StorageConfig = StorageConfig()
    board: BoardConfig = BoardConfig()
    health_s: float = Field(60.0, gt=0, description="seconds between two health messages")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line written")

    @model_validator(mode="after")
    def _has_an_input(self) -> Self:
        if not self.dicom.enabled and self.folder.path is None:
            raise ValueError("nothing to receive from: enable dicom or name folder.path")
        return self


def load_config(path: Path) -> DeviceConfig:
    """Read and check a box's YAML file; relative paths in it count from the file's folder. Raises ConfigError."""
    return load_settings(path, DeviceConfig, program="pneumoflag-device")


def require_files(config: DeviceConfig) -> None:
    """Raise ConfigError for a setting that points to a missing file or folder.

    Without this check a missing certificate would look like a broker that does not answer, and a mistyped folder like
    an empty one.
    """
    watched = config.folder.path
    if watched is not None and not watched.is_dir():
        raise ConfigError(f"folder.path: {watched} does not exist; create the folder or change the setting")
    broker = config.broker
    for name in ("password_file", "ca_file", "cert_file", "key_file"):
        path: Path | None = getattr(broker, name)
        if path is not None and not path.is_file():
            raise ConfigError(f"broker.{name}: {path} does not exist; put the file there or change the setting")
