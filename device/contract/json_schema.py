"""Generate `contract.schema.json` from the message classes.

`python -m device.contract.json_schema` writes the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from device.contract.json_codec import adapter
from device.contract.messages import SCHEMA, Receipt, Result

SCHEMA_FILE = Path(__file__).with_name("contract.schema.json")
DESCRIPTION = (
    "The root is a result, published by a box on pneumoflag/v1/<site>/<device>/result. A receipt, the collector's "
    "answer on .../receipt, is #/$defs/Receipt. Every field is always present; what is unknown is null."
)


def schema_text() -> str:
    """Return the text of `contract.schema.json`, as JSON Schema 2020-12."""
    messages: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (message.__name__, "serialization", adapter(message)) for message in (Result, Receipt)
    ]
    _, definitions = TypeAdapter.json_schemas(messages)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pneumoflag:contract:{SCHEMA}",
        "title": f"PneumoFlag contract, schema {SCHEMA}",
        "description": DESCRIPTION,
        "$ref": "#/$defs/Result",
        "$defs": definitions["$defs"],
    }
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
