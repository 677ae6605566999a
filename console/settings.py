"""Settings of a service: a YAML file comes in; checked, frozen settings go out, or a commented file to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined, to_jsonable_python

from console.errors import UsageError

COMMENT_COLUMN = 44


class ConfigError(UsageError):
    """The settings cannot be used; the message names the file, the setting and what to do."""


class Section(BaseModel):
    """Common to all sections: an unknown setting is an error, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Settings = TypeVar("Settings", bound=Section)


def load_settings(path: Path, model: type[Settings], *, program: str) -> Settings:
    """Read and check a YAML file; relative paths in it count from the file's folder.

    Raises ConfigError naming the file, each wrong setting and what was expected.
    """
    remedy = f"`{program} config` prints a file to start from"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected settings (`name: value`), got {type(values).__name__}; {remedy}")
    try:
        return model.model_validate(_with_absolute_paths(model.model_validate(values), path.resolve().parent))
    except ValidationError as error:
        lines = [f"{path}: {_explain(details, program)}" for details in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _explain(details: ErrorDetails, program: str) -> str:
    key = ".".join(map(str, details["loc"])) or "settings"
    match details["type"]:
        case "extra_forbidden":
            return f"{key}: unknown setting; `{program} config` prints every setting"
        case "missing":
            return f"{key}: required setting is missing; add it"
        case _:
            return f"{key}: {details['msg'].removeprefix('Value error, ')}"


def _with_absolute_paths(value: object, base: Path) -> object:
    if isinstance(value, Section):
        return {name: _with_absolute_paths(getattr(value, name), base) for name in type(value).model_fields}
    if isinstance(value, tuple):
        return tuple(_with_absolute_paths(item, base) for item in value)
    return base / value if isinstance(value, Path) else value


def settings_template(model: type[Section]) -> str:
    """Return a YAML file with every setting, its default and its description.

    A required setting has its example as value and says so.
    """
    return "\n".join(_section_lines(model, None, "")).strip() + "\n"


def _section_lines(model: type[Section], defaults: Section | None, indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        value = default if defaults is None else getattr(defaults, name)
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield ""
            yield f"{indent}# {(section.__doc__ or '').strip().splitlines()[0]}"
            yield f"{indent}{name}:"
            yield from _section_lines(section, value if isinstance(value, Section) else None, indent + "  ")
        else:
            yield from _setting_lines(name, field, value, indent)


def _setting_lines(name: str, field: FieldInfo, value: object, indent: str) -> Iterator[str]:
    required = value is PydanticUndefined
    plain = to_jsonable_python((field.examples or [None])[0] if required else value)
    comment = f"  # {'required: ' if required else ''}{field.description}"
    if isinstance(plain, list) and plain and isinstance(plain[0], dict):
        yield f"{indent}{name}:{comment}"
        block = yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=100)
        yield from (f"{indent}  {line}" for line in block.splitlines())
    else:
        text = yaml.safe_dump(plain, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
        yield f"{indent}{name}: {text}".ljust(COMMENT_COLUMN) + comment
