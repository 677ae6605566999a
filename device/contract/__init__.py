"""The contract: the messages between box and collector, as typed classes, JSON codec and JSON Schema file.

One definition serves both sides: pydantic reads it from the classes. Imports nothing of the project; imported by every
layer of the box, by the collector, and by train, export and sim.
"""

from device.contract.identifiers import (
    SITE_KEY_BYTES,
    IdentifierType,
    content_id,
    load_site_key,
    pseudonym,
    result_id,
)
from device.contract.json_codec import ContractError, Message, decode, encode, iso_utc, parse
from device.contract.messages import (
    ID_HEX_DIGITS,
    SCHEMA,
    Clock,
    Exposure,
    Gate,
    Milliseconds,
    Model,
    Receipt,
    Result,
    Runtime,
    Thresholds,
    TimingMs,
    decide,
)
from device.contract.topics import TOPIC_ROOT, Topics
from device.contract.vocabulary import Caveat, Flag, GateStatus, Reason, Source

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
    "IdentifierType",
    "Message",
    "Milliseconds",
    "Model",
    "Reason",
    "Receipt",
    "Result",
    "Runtime",
    "Source",
    "Thresholds",
    "TimingMs",
    "Topics",
    "content_id",
    "decide",
    "decode",
    "encode",
    "iso_utc",
    "load_site_key",
    "parse",
    "pseudonym",
    "result_id",
]
