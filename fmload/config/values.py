"""Kinds of value that many parts of the run file have: durations, sizes, paths, models, regions."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from fmload.base.units import parse_duration_s, parse_size_bytes, write_duration, write_size
from fmload.config import limits

# Names of endpoints, prompt sets and collectors: they stand in the results, and in names of files.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=limits.NAME_CHARACTERS)]


def duration(value: object, info: ValidationInfo) -> object:
    """Seconds from text with a unit. A bare number is refused in a run file, and taken as seconds from code."""
    if isinstance(value, str):
        return parse_duration_s(value)
    if info.context is not None and isinstance(value, int | float) and (value != 0 or isinstance(value, bool)):
        raise ValueError(f"{value} has no unit; write a duration such as 500ms, 10s, 2m or 1h")
    return value


Seconds = Annotated[float, BeforeValidator(duration), Field(ge=0, le=limits.DURATION_S),
                    PlainSerializer(write_duration, when_used="json"),
                    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["500ms", "10s", "2m"]}, {"const": 0}]})]


def _size(value: object, info: ValidationInfo) -> object:
    """Bytes from text with a unit. A bare number is refused in a run file, and taken as bytes from code."""
    if isinstance(value, str):
        return parse_size_bytes(value)
    if info.context is not None and isinstance(value, int | float):
        raise ValueError(f"{value} has no unit; write a size such as 64KiB, 500MB or 1GiB")
    return value


SIZE_EXAMPLES = ["64KiB", "500MB", "1GiB"]
Bytes = Annotated[int, BeforeValidator(_size), Field(ge=0, le=limits.BYTES),
                  PlainSerializer(write_size, when_used="json"),
                  WithJsonSchema({"type": "string", "examples": SIZE_EXAMPLES})]


def _share(value: object) -> object:
    """A share from `5%`; a number as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip().removesuffix("%")) / 100 if value.strip().endswith("%") else value
    except ValueError as error:
        raise ValueError(f"'{value}' is not a share; write 5% or 0.05") from error


Share = Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1),
                  WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                                            {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}]})]


def _at_home(value: str) -> str:
    return str(Path(value).expanduser()) if value.startswith("~/") else value


def _from_run_file(value: str, info: ValidationInfo) -> str:
    value = _at_home(value)
    if info.context is None or "://" in value or value.startswith("hf:") or PurePath(value).is_absolute():
        return value
    return str(info.context["folder"] / value)


def _folder_of_run_file(value: str, info: ValidationInfo) -> str:
    value = _at_home(value)
    folder = info.context and info.context["folder"] / value
    return str(folder) if folder and value != "bundled" and folder.is_dir() else value


# A path in the run file: relative ones start from the run file's folder, `~/` is the home folder; s3:// and hf: stay as
# they are.
RunPath = Annotated[str, AfterValidator(_from_run_file)]
# The name of a model, or a folder: relative to the run file where there is such a folder.
ModelName = Annotated[str, AfterValidator(_folder_of_run_file)]


def _region_of_run(value: str | None, info: ValidationInfo) -> str | None:
    return value or (info.context or {}).get("region")


# An AWS region; where none is given, the run's. To be used with `Field(None, validate_default=True)`.
Region = Annotated[str | None, AfterValidator(_region_of_run)]

Balance = Literal["round_robin", "least_busy"]
