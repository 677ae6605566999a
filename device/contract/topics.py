"""MQTT topics of one box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from device.contract.json_codec import ContractError

TOPIC_ROOT = "pneumoflag/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one box."""

    site: str
    device: str

    def __post_init__(self) -> None:
        for name, level in (("site", self.site), ("device", self.device)):
            if not level or any(c in level for c in "/+#\0"):
                raise ContractError(f"{name}: expected a topic level without / + #, got {level!r}")

    def _topic(self, leaf: str) -> str:
        return f"{TOPIC_ROOT}/{self.site}/{self.device}/{leaf}"

    @property
    def result(self) -> str:
        """Box to collector: one `Result`."""
        return self._topic("result")

    @property
    def status(self) -> str:
        """Box to everyone, retained: `online` or, as last will, `offline`."""
        return self._topic("status")

    @property
    def health(self) -> str:
        """Box to everyone, every minute."""
        return self._topic("health")

    @property
    def receipt(self) -> str:
        """Collector to box: one `Receipt`."""
        return self._topic("receipt")

    @property
    def model_desired(self) -> str:
        """Collector to box, retained: which bundle it should run."""
        return self._topic("model/desired")

    @property
    def model_reported(self) -> str:
        """Box to collector, retained: which bundle it runs."""
        return self._topic("model/reported")

    @classmethod
    def of(cls, topic: str) -> Self:
        """Return the topics of the box that a topic belongs to. Raises ContractError for any other topic."""
        parts = topic.split("/")
        if len(parts) < 5 or "/".join(parts[:2]) != TOPIC_ROOT:
            raise ContractError(f"topic: expected {TOPIC_ROOT}/<site>/<device>/…, got {topic!r}")
        return cls(site=parts[2], device=parts[3])
