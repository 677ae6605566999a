"""Settings of the collector, read from one YAML file.

Every setting has a default but `site_key_file`; `pneumoflag-collector config` prints them all.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from console.broker import BrokerSettings
from console.settings import Section, load_settings

Scale = Literal["0-1", "0-100"]
SQLITE = "sqlite:///"


class BrokerConfig(BrokerSettings):
    """The hospital's MQTT 5 broker."""

    client_id: str = Field(
        "pneumoflag-collector",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="names the session that the broker keeps; every collector needs its own",
    )
    share: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]{1,64}$", description="group in which several collectors share the results"
    )
    session_expiry_s: int = Field(
        7 * 86_400, ge=0, description="how long the broker keeps messages while the collector is away"
    )
    reconnect_max_s: int = Field(30, ge=1, description="longest wait before the next connection attempt")


class StoreConfig(Section):
    """Where results, vendor outputs and reads are kept."""

    url: str = Field(
        "sqlite:////var/lib/pneumoflag-collector/collector.sqlite",
        description="SQLAlchemy URL; a relative SQLite path counts from this file's folder",
    )
    batch: int = Field(
        500, ge=1, le=10_000, description="most results in one commit; a single result does not wait for others"
    )
    busy_s: float = Field(5.0, gt=0, description="how long to wait for a locked database before raising an alarm")

    @field_validator("url")
    @classmethod
    def _is_supported(cls, url: str) -> str:
        if not url.startswith((SQLITE, "postgresql")):
            raise ValueError("expected sqlite:///path or postgresql+driver://...")
        return url


class WebConfig(Section):
    """The pages for administrators. They hold no patient data and ask for no password: keep them inside."""

    enabled: bool = Field(True, description="serve the pages")
    host: str = Field("127.0.0.1", description="address to listen on; put a proxy with a log-in in front of any other")
    port: int = Field(8090, ge=0, le=65535, description="0 takes a free one; the port is written to ports.json")


class VendorRule(Section):
    """How one vendor's findings become a decision. The first rule whose pattern fits the record's version applies."""

    rule_version: str = Field(min_length=1, max_length=64, description="stored with every decision of the rule")
    versions: str = Field("*", description="pattern of vendor versions, for instance 3.1.*")
    findings: tuple[str, ...] = Field(
        (), description="the highest of those present decides; empty: the record's own score"
    )
    at_least: float = Field(
        0.5, ge=0, le=1, description="from this score on the decision is pneumonia, on the 0-1 scale"
    )
    default_scale: Scale | None = Field(
        None, description="scale of a record that declares none; null: such a record is an error"
    )


class VendorConfig(Section):
    """One vendor's files."""

    rules: tuple[VendorRule, ...] = Field(min_length=1, description="tried in order")
    fields: dict[str, str] = Field(
        {}, description="name of a field here: its name in the file; a dotted path reaches into nested objects"
    )

    def rule_for(self, version: str) -> VendorRule | None:
        """The first rule whose pattern fits, or None."""
        return next((rule for rule in self.rules if fnmatchcase(version, rule.versions)), None)


class VendorsConfig(Section):
    """The thresholds are no vendor's advice: each site sets its own, and they are reported with the figures."""

    lunit: VendorConfig = VendorConfig(
        rules=(VendorRule(rule_version="lunit-1", findings=("consolidation",), at_least=0.15),)
    )
    vuno: VendorConfig = VendorConfig(
        rules=(VendorRule(rule_version="vuno-1", findings=("consolidation", "interstitial opacity"), at_least=0.5),)
    )
    csv: VendorConfig = VendorConfig(rules=(VendorRule(rule_version="csv-1", at_least=0.5, default_scale="0-1"),))


class CompareConfig(Section):
    """What counts in the comparison. The choice is printed with every figure."""

    review: Literal["probability", "pneumonia", "normal"] = Field(
        "probability",
        description="a review flag counts as pneumonia from probability 0.5 (probability), always, or never",
    )
    unclassified: Literal["exclude", "wrong"] = Field(
        "exclude", description="exposures the box did not classify: left out and listed, or counted as errors"
    )
    repeats: Literal["last", "ambiguous"] = Field(
        "last",
        description="an output that names only a study with several exposures of one view: the last one, or no match",
    )
    resamples: int = Field(2000, ge=100, le=100_000, description="bootstrap resamples of the Brier score")
    seed: int = Field(20_240_417, ge=0, description="makes the bootstrap reproducible")


class CollectorConfig(Section):
    """A whole collector."""

    site_key_file: Path = Field(description="64 hex digits, the same as on the boxes", examples=["site.key"])
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
            raise ValueError("expected names without / + #")
        return sites


def load_config(path: Path) -> CollectorConfig:
    """Read and check a YAML file; relative paths in it, that of SQLite too, count from the file's folder.

    Raises ConfigError.
    """
    config = load_settings(path, CollectorConfig, program="pneumoflag-collector")
    database = config.store.url.removeprefix(SQLITE)
    if not config.store.url.startswith(SQLITE) or not database or database.startswith(("/", ":memory:")):
        return config
    store = config.store.model_copy(update={"url": f"{SQLITE}{path.resolve().parent / database}"})
    return config.model_copy(update={"store": store})
