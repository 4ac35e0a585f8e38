"""What every part of the run file is made of: strict models that report all their problems at once.

pydantic stops before cross-field rules and before a registry entry's own options when a field is wrong.
Here a model gathers its fields', its rules' and its options' problems into one ValidationError, whose
locations pydantic then extends with the way down to the model.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from fmload.base.errors import FmloadError
from fmload.base.registry import Registry

# The key that breaks it (or the path to it; empty: the whole mapping), and what is wrong.
Rule = tuple[str | tuple[str | int, ...], str]


class Strict(BaseModel):
    """Unknown keys are errors; values are not coerced between kinds."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        """Broken rules between fields. `given`: raw values by field name, nulls left out."""
        return iter(())

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        made, problems = _fields(cls, data, handler)
        if isinstance(data, Mapping):
            problems += [_rule(*broken) for broken in cls.rules(_given(cls, data))]
        model: Self = _unless(problems, cls, made)
        return model

    @model_serializer(mode="wrap")
    def _with_meant_nulls(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        return {**handler(self), **_meant_nulls(self, info)}


def _meant_nulls(model: BaseModel, info: SerializationInfo) -> dict[str, None]:
    """Fields that were set to null where their default is something else: left out, they would have it again."""
    if not info.exclude_none:
        return {}
    return {field.alias or name if info.by_alias else name: None for name, field in type(model).model_fields.items()
            if getattr(model, name) is None and field.get_default(call_default_factory=True) is not None}


def also(handler: GetJsonSchemaHandler, core: CoreSchema, short: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a mapping that may be written short."""
    reference = handler(core)
    mapping = handler.resolve_ref_schema(reference)
    both = {"anyOf": [short, dict(mapping)]}
    mapping.clear()
    mapping.update(both)
    return reference


class NoOptions(Strict):
    """The options of an entry that has none."""


class Extensible(BaseModel):
    """A model whose further keys belong to the registry entry that the field `chosen_by` names."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, frozen=True, strict=True, allow_inf_nan=False)
    registry: ClassVar[Registry]
    chosen_by: ClassVar[str]
    _options: Any = PrivateAttr(default=None)

    @classmethod
    def whole(cls, data: Any) -> Any:
        """The raw values with what other keys of theirs bring; as they are, unless a model says otherwise."""
        return data

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        """Broken rules between fields. `given`: raw values by field name, nulls left out."""
        return iter(())

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(data, cls):
            return data
        data = cls.whole(data)
        made, problems = _fields(cls, data, handler)
        options = None
        if isinstance(data, Mapping):
            problems += [_rule(*broken) for broken in cls.rules(_given(cls, data))]
            options, more = cls._route(data, info.context)
            problems += more
        model: Self = _unless(problems, cls, made)
        model._options = options
        return model

    @classmethod
    def _route(cls, data: Mapping[str, Any], context: Any) -> tuple[Any, list[InitErrorDetails]]:
        """The options of the chosen entry; None when it cannot be told which one that is."""
        name = data.get(cls.chosen_by)
        extra = {key: value for key, value in data.items() if key not in [*key_names(cls), *cls.model_fields]}
        if not isinstance(name, str):
            return None, _misspelt(extra, key_names(cls))  # the name itself is reported as a missing or wrong field
        try:
            model = options_model(cls.registry, name)
        except (FmloadError, ImportError) as error:
            why = _rule(cls.chosen_by, _why(error, cls.registry.kind, name))
            return None, [why, *_misspelt(extra, key_names(cls))]
        try:  # by way of JSON, whose strict mode takes a list for a tuple and text for a path
            return model.model_validate_json(json.dumps(extra, default=str), context=context), []
        except ValidationError as error:
            return None, _details(error, [*key_names(cls), *key_names(model)])

    @model_serializer(mode="wrap")
    def _with_options(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        common = {key: value for key, value in handler(self).items() if key not in (self.__pydantic_extra__ or {})}
        options = self._options.model_dump(mode=info.mode, by_alias=info.by_alias, exclude_none=info.exclude_none)
        return {**common, **options, **_meant_nulls(self, info)}

    @property
    def options(self) -> Any:
        """The further keys, as the chosen entry's own `Options` model."""
        return self._options

    def with_options(self, changes: Mapping[str, Any]) -> Self:
        """A copy with other values, which are not checked, in some of its further keys."""
        made = self.model_copy()
        made._options = self._options.model_copy(update=dict(changes))
        return made


def options_model(registry: Registry, name: str) -> type[BaseModel]:
    """The `Options` of a registry entry. Raises FmloadError for an unknown name, ImportError when it cannot load."""
    model: type[BaseModel] = getattr(registry.load(name), "Options", NoOptions)
    return model


def key_names(model: type[BaseModel]) -> list[str]:
    """The keys of a model as they are written in the run file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _why(error: Exception, kind: str, name: str) -> str:
    if isinstance(error, FmloadError):
        return str(error).replace("\nhint: ", "; ")
    return f"{kind} '{name}' cannot be loaded: {error}; install what it needs"


def _misspelt(extra: Mapping[str, Any], known: list[str]) -> list[InitErrorDetails]:
    """Keys so near a common one that they are wrong whatever the options are."""
    near = {key: difflib.get_close_matches(key, known, n=1, cutoff=0.8) for key in extra}
    return [_rule(key, f"unknown key '{key}'; did you mean '{match[0]}'?") for key, match in near.items() if match]


def _given(cls: type[BaseModel], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.alias or name: name for name, field in cls.model_fields.items()}
    return {names.get(key, key): value for key, value in data.items() if value is not None}


def _fields(cls: type[Any], data: Any, handler: ModelWrapValidatorHandler[Any]) -> tuple[Any, list[InitErrorDetails]]:
    try:
        return handler(data), []
    except ValidationError as error:
        return None, _details(error, key_names(cls))


def _unless(problems: list[InitErrorDetails], cls: type[Any], made: Any) -> Any:
    """What was made, unless there are problems: those raise ValidationError."""
    if problems:
        raise ValidationError.from_exception_data(cls.__name__, problems)
    return made


def _rule(key: str | tuple[str | int, ...], message: str) -> InitErrorDetails:
    kind = PydanticCustomError("rule", "{message}", {"message": message})
    path = key if isinstance(key, tuple) else (key,) if key else ()
    return InitErrorDetails(type=kind, loc=path, input=None)


def _details(error: ValidationError, known: list[str]) -> list[InitErrorDetails]:
    """The error's lines, each unknown key of this level with the keys that were possible."""
    return [_detail(line, known) for line in error.errors(include_url=False)]


def _detail(line: Any, known: list[str]) -> InitErrorDetails:
    context = {"message": line["msg"], **line.get("ctx", {})}
    if line["type"] == "extra_forbidden" and len(line["loc"]) == 1:
        context["known"] = known
    kind = PydanticCustomError(line["type"], "{message}", context)
    return InitErrorDetails(type=kind, loc=line["loc"], input=line["input"])
