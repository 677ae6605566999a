"""Settings text: the configuration's classes come in; a commented YAML with every setting and its default goes out."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from device.config import DeviceConfig, Section


def settings_text() -> str:
    """The whole configuration; settings without a default are commented out and marked as required."""
    return "\n".join(_lines(DeviceConfig, ""))


def _lines(section: type[Section], indent: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield f"{indent}{name}:  # {(inner.__doc__ or '').strip().splitlines()[0]}"
            yield from _lines(inner, indent + "  ")
        else:
            yield f"{indent}{_line(name, field)}"


def _line(name: str, field: FieldInfo) -> str:
    words = f"  # {field.description}" if field.description else ""
    if field.default is PydanticUndefined:
        return f"# {name}: REQUIRED{words}"
    return f"{name}: {_yaml(field.default)}{words}"


def _yaml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    plain = str(plain) if isinstance(plain, (Path, Enum)) else plain
    return yaml.safe_dump(plain, default_flow_style=True).splitlines()[0]
