"""The contract: what box and collector say to each other, as typed classes, JSON codec and JSON Schema file.

One definition serves both sides. Imports nothing of the project; imported by every layer of the box, by the collector,
and by train, export and sim.
"""

from device.contract.identifiers import (
    ID_HEX_DIGITS,
    SITE_KEY_BYTES,
    IdKind,
    content_id,
    load_site_key,
    pseudonym,
    result_id,
)
from device.contract.json_codec import ContractError, build, iso_utc, parse, plain
from device.contract.messages import (
    SCHEMA,
    Caveat,
    Clock,
    Exposure,
    Flag,
    Gate,
    GateStatus,
    Model,
    Reason,
    Receipt,
    Result,
    Runtime,
    Source,
    Thresholds,
    TimingMs,
    decide,
)
from device.contract.topics import TOPIC_ROOT, Topics

__all__ = [
    "ID_HEX_DIGITS",
    "SCHEMA",
    "SITE_KEY_BYTES",
    "TOPIC_ROOT",
    "Caveat",
    "Clock",
    "ContractError",
    "Exposure",
    "Flag",
    "Gate",
    "GateStatus",
    "IdKind",
    "Model",
    "Reason",
    "Receipt",
    "Result",
    "Runtime",
    "Source",
    "Thresholds",
    "TimingMs",
    "Topics",
    "build",
    "content_id",
    "decide",
    "iso_utc",
    "load_site_key",
    "parse",
    "plain",
    "pseudonym",
    "result_id",
]
