"""Configuration of the collector: one YAML file comes in; checked, described, frozen settings go out.

Every setting has a default that works but `site_key_file`; `pneumoflag-collector config` prints them all.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Scale = Literal["0-1", "0-100"]
SQLITE = "sqlite:///"


class ConfigError(Exception):
    """The configuration cannot be used; the words name the file, the setting and the remedy."""


class Section(BaseModel):
    """Common to all sections: unknown settings are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BrokerConfig(Section):
    """The hospital's MQTT 5 broker."""

    host: str = Field("127.0.0.1", description="name or address of the broker")
    port: int = Field(1883, ge=1, le=65535, description="8883 is usual with tls")
    username: str | None = Field(None, description="none: no password is sent")
    password_file: Path | None = Field(None, description="its first line is the password")
    tls: bool = Field(False, description="encrypt, and verify the broker's certificate")
    ca_file: Path | None = Field(None, description="authority of the broker's certificate; none: the system's")
    cert_file: Path | None = Field(None, description="the collector's own certificate, where the broker asks for one")
    key_file: Path | None = Field(None, description="private key of cert_file")
    client_id: str = Field(
        "pneumoflag-collector",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="names the session the broker keeps; a second collector needs its own",
    )
    share: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,64}$", description="group in which several collectors share the results"
    )
    session_expiry_s: int = Field(7 * 86_400, ge=0, description="how long the broker keeps messages for us while away")
    keepalive_s: int = Field(30, ge=5, description="seconds between signs of life")
    reconnect_max_s: int = Field(30, ge=1, description="back-off while the broker is away ends here")


class StoreConfig(Section):
    """Where results, vendor outputs and reads are kept."""

    url: str = Field(
        "sqlite:////var/lib/pneumoflag-collector/collector.sqlite",
        description="SQLAlchemy URL; a relative SQLite path counts from this file's folder",
    )
    batch: int = Field(500, ge=1, le=10_000, description="most results in one commit; none waits for another to come")
    busy_s: float = Field(5.0, gt=0, description="how long a locked database is waited for before it is an alarm")

    @field_validator("url")
    @classmethod
    def _known_kind(cls, url: str) -> str:
        if not url.startswith((SQLITE, "postgresql")):
            raise ValueError("sqlite:///path or postgresql+driver://... expected")
        return url


class WebConfig(Section):
    """The pages for administrators. They hold no patient data, and no passwords either: keep them inside."""

    enabled: bool = Field(True, description="serve the pages")
    host: str = Field("127.0.0.1", description="address to listen on; put a proxy with a log-in in front of any other")
    port: int = Field(8090, ge=0, le=65535, description="0 takes a free one; the port is written to ports.json")


class Rule(Section):
    """How one vendor's findings become a call. The first rule whose pattern fits the record's version is taken."""

    rule_version: str = Field(min_length=1, max_length=64, description="kept with every call the rule made")
    versions: str = Field("*", description="pattern of vendor versions, for instance 3.1.*")
    findings: tuple[str, ...] = Field((), description="the highest of those present decides; empty: the score itself")
    at_least: float = Field(0.5, ge=0, le=1, description="a score of so much is a call of pneumonia, on the 0-1 scale")
    default_scale: Scale | None = Field(
        None, description="scale of a record that declares none; none: such a record is an error"
    )


class VendorConfig(Section):
    """One vendor's files."""

    rules: tuple[Rule, ...] = Field(min_length=1, description="tried in order")
    fields: dict[str, str] = Field({}, description="our field name: theirs; a dotted path goes into nested objects")

    def rule_for(self, version: str) -> Rule | None:
        """The first rule whose pattern fits, or None."""
        return next((rule for rule in self.rules if fnmatchcase(version, rule.versions)), None)


class VendorsConfig(Section):
    """The rules are no vendor's advice: thresholds are the site's own to set, and are reported with the figures."""

    lunit: VendorConfig = VendorConfig(
        rules=(Rule(rule_version="lunit-1", findings=("consolidation",), at_least=0.15),)
    )
    vuno: VendorConfig = VendorConfig(
        rules=(Rule(rule_version="vuno-1", findings=("consolidation", "interstitial opacity"), at_least=0.5),)
    )
    csv: VendorConfig = VendorConfig(rules=(Rule(rule_version="csv-1", at_least=0.5, default_scale="0-1"),))


class CompareConfig(Section):
    """What counts in the comparison. The choice is printed with every figure."""

    review: Literal["probability", "pneumonia", "normal"] = Field(
        "probability",
        description="a review flag counts as pneumonia from probability 0.5 (probability), always, or never",
    )
    unclassified: Literal["exclude", "wrong"] = Field(
        "exclude", description="films the box did not classify: left out and listed, or counted as errors"
    )
    repeats: Literal["last", "ambiguous"] = Field(
        "last",
        description="an output that names only a study with several films of one view: the last film, or no match",
    )
    resamples: int = Field(2000, ge=100, le=100_000, description="bootstrap resamples of the Brier score")
    seed: int = Field(20_240_417, ge=0, description="makes the bootstrap reproducible")


class CollectorConfig(Section):
    """A whole collector."""

    site_key_file: Path = Field(description="64 hex digits, the same as on the boxes")
    sites: tuple[str, ...] = Field((), description="sites to subscribe to; empty: all")
    broker: BrokerConfig = BrokerConfig()
    store: StoreConfig = StoreConfig()
    web: WebConfig = WebConfig()
    vendors: VendorsConfig = VendorsConfig()
    compare: CompareConfig = CompareConfig()
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe line written")

    @field_validator("sites")
    @classmethod
    def _topic_levels(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        if any(not site or set("/+#") & set(site) for site in sites):
            raise ValueError("names without / + # expected")
        return sites

    def rooted(self, base: Path) -> Self:
        """The same settings with relative paths counted from `base`."""
        url = self.store.url
        path = url.removeprefix(SQLITE)
        if url.startswith(SQLITE) and path and not path.startswith(("/", ":memory:")):
            url = f"{SQLITE}{base / path}"
        files = ("password_file", "ca_file", "cert_file", "key_file")
        broker = {name: base / value for name in files if (value := getattr(self.broker, name)) is not None}
        return self.model_copy(
            update={
                "site_key_file": base / self.site_key_file,
                "broker": self.broker.model_copy(update=broker),
                "store": self.store.model_copy(update={"url": url}),
            }
        )


def load_config(path: Path) -> CollectorConfig:
    """Read and check a YAML file. Raises ConfigError naming the file, each wrong setting and what was expected."""
    remedy = "`pneumoflag-collector config` prints one to start from"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: settings expected (`site_key_file: ...`), got {type(values).__name__}; {remedy}")
    try:
        return CollectorConfig.model_validate(values).rooted(path.resolve().parent)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join([f"{path}: {len(lines)} setting(s) to mend", *lines])) from None


def described() -> str:
    """All settings with their defaults as YAML text; every description stands as a comment."""
    return "\n".join(_lines(CollectorConfig, 0)) + "\n"


def _lines(section: type[Section], depth: int) -> list[str]:
    pad, lines = "  " * depth, []
    for name, field in section.model_fields.items():
        value = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(value, Section):
            lines += ["", f"{pad}# {(type(value).__doc__ or '').strip()}", f"{pad}{name}:"]
            lines += _lines(type(value), depth + 1) if not isinstance(value, VendorsConfig) else _vendor_lines(value)
        else:
            text = "site.key" if field.is_required() else _inline(value)
            lines += [f"{pad}{name}: {text}".ljust(44) + f"  # {field.description}"]
    return lines


def _vendor_lines(vendors: VendorsConfig) -> list[str]:
    text = yaml.safe_dump(vendors.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=100)
    return ["  " + line for line in text.rstrip().splitlines()]


def _inline(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()
