"""What pydantic finds wrong in a file, as problems with line, allowed values and a fix."""

from __future__ import annotations

import json
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from feature_mart.definitions.names import suggested_name
from feature_mart.definitions.problems import Invalid, Names, Problem, Problems, nearest
from feature_mart.definitions.variables import OTHER_VALUE, is_reference
from feature_mart.definitions.yaml_file import Document, Location, dotted

M = TypeVar("M", bound=BaseModel)

_KEY = "[key]"
_PLACEHOLDER = "placeholder"
_KINDS = {
    "string_type": ("is no text", "a text"),
    "bool_type": ("is neither true nor false", "true or false"),
    "int_type": ("is no whole number", "a whole number"),
    "float_type": ("is no number", "a number"),
    "tuple_type": ("is no list", "a list"),
    "dict_type": ("is no map", "a map of keys and values"),
    "model_type": ("is no map", "a map of keys and values"),
    "too_short": ("is empty", "at least one entry"),
}
_BOUNDS = {"greater_than_equal": ("is below", "ge", ">="), "less_than_equal": ("is above", "le", "<=")}
_SPOKEN_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def read_model(
    model: type[M], document: Document, problems: Problems, entries: str = ""
) -> tuple[M | None, list[str | int]]:
    """The model of a file, and the keys or positions of those of its entries that are right.

    What is wrong is told to ``problems`` and taken out, so that the rest of the file can be looked at in the same run.

    Args:
        model: what the file should be.
        document: what it is.
        problems: takes what is wrong.
        entries: the key below which the file lists its entries, in a map or a list.
    """
    data = {} if document.data is None and document.root is None else document.data
    try:
        result = model.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _tell(model, document, detail, problems)
        repaired = _without(data, error, model, entries)
        if repaired is None:
            return None, []
        kept, data = repaired
        return model.model_validate(data), kept
    listed_entries = data.get(entries, ()) if entries else ()
    return result, list(listed_entries) if isinstance(listed_entries, dict) else list(range(len(listed_entries)))


def _without(
    data: Any, error: ValidationError, model: type[BaseModel], entries: str
) -> tuple[list[str | int], dict[str, Any]] | None:
    """The kept keys or positions, and the data without what is wrong; None if there is nothing left to look at."""
    if not isinstance(data, dict):
        return None
    rest = dict(data)
    broken: set[Any] = set()
    for detail in error.errors(include_url=False, include_input=False):
        location = detail["loc"]
        if location[0] == entries and len(location) > 1:
            broken.add(location[1])
            continue
        key = str(location[0])
        field = _fields(model).get(key)
        if key == entries:
            rest[key] = []
        elif field is not None and field.is_required():
            rest[key] = _PLACEHOLDER
        else:
            rest.pop(key, None)
    listing = rest.get(entries)
    if isinstance(listing, dict):
        kept: list[str | int] = [key for key in listing if key not in broken]
        rest[entries] = {key: listing[key] for key in kept}
    elif isinstance(listing, list):
        kept = [at for at in range(len(listing)) if at not in broken]
        rest[entries] = [entry for at, entry in enumerate(listing) if at not in broken]
    else:
        kept = []
    if not kept:
        return None
    return kept, rest


def _tell(model: type[BaseModel], document: Document, detail: ErrorDetails, problems: Problems) -> None:
    is_key = bool(detail["loc"]) and detail["loc"][-1] == _KEY
    location: Location = detail["loc"][:-1] if is_key else detail["loc"]
    if location in document.unfilled:
        return
    file, line = document.place(location)
    found = repr(location[-1]) if is_key else (document.written(location) or "")
    owner = _model_at(model, location[:-1])
    kind = detail["type"]
    if kind == "too_short" and found not in ("an empty list", "an empty map"):
        return  # it only seems empty, because its entries are wrong: those are told
    if kind == "extra_forbidden":
        problems.add(_unknown_key(file, line, location, owner))
    elif kind == "missing":
        problems.add(_missing_key(file, line, location, owner))
    else:
        wrong = _explained(detail, found, document.written(location))
        if is_reference(found):
            wrong = Invalid(wrong.message, allowed=wrong.allowed, fix=OTHER_VALUE)
        message = f"found {found}, which {wrong.message}" if found else f"the file {wrong.message}"
        problems.add(Problem(file, line, dotted(location), message, found, wrong.allowed, wrong.nearest, wrong.fix))


def _unknown_key(file: str, line: int, location: Location, owner: type[BaseModel] | None) -> Problem:
    known = list(_fields(owner)) if owner is not None else []
    key = str(location[-1])
    meant = nearest(key, known)
    fix = f"write {meant}" if meant else "remove it"
    if key == "<<":
        fix = "write the keys out: merging maps by << is no part of YAML 1.2"
    return Problem(file, line, dotted(location), f"unknown key {key!r}", key, ", ".join(known), meant, fix)


def _missing_key(file: str, line: int, location: Location, owner: type[BaseModel] | None) -> Problem:
    key = str(location[-1])
    field = _fields(owner).get(key) if owner is not None else None
    example = field.examples[0] if field is not None and field.examples else "…"
    shown = example if isinstance(example, str) else json.dumps(example)
    return Problem(file, line, dotted(location), f"the key {key!r} is missing", fix=f"add {key}, as in {key}: {shown}")


def _explained(detail: ErrorDetails, found: str, written: str | None) -> Invalid:
    context = detail.get("ctx") or {}
    kind = detail["type"]
    error = context.get("error")
    if isinstance(error, Invalid):
        return error
    if kind == "literal_error":
        names = [name.strip("' ") for name in str(context["expected"]).replace(" or ", ", ").split(",")]
        meant = nearest(str(detail["input"]), names)
        return Invalid(
            "is none of the allowed values", allowed=", ".join(names), nearest=meant, fix=f"write {meant or names[0]}"
        )
    if kind in _BOUNDS:
        word, bound, sign = _BOUNDS[kind]
        limit = f"{context[bound]:g}"
        return Invalid(f"{word} {limit}", allowed=f"{sign} {limit}", fix=f"write a number {sign} {limit}")
    message, allowed = _KINDS.get(kind, (f"is not allowed: {detail['msg']}", ""))
    return Invalid(message, allowed=allowed, fix=_fix(kind, found, written))


def _fix(kind: str, found: str, written: str | None) -> str:
    if written is None or found in ("nothing", "null", "~"):
        return "write a value, or leave the key out"
    if kind == "string_type":
        return "write one text" if found.startswith(("a ", "an ")) else f'write it in quotes: "{found}"'
    if kind == "bool_type":
        return f"write {_SPOKEN_BOOLEANS.get(found.strip(chr(39)).lower(), 'true or false')}"
    if kind == "tuple_type":
        return (
            f"write [{found}]"
            if not found.startswith("a ")
            else "put each entry on a line of its own, beginning with -"
        )
    if kind in ("dict_type", "model_type"):
        return "write its keys on lines of their own below it, indented"
    if kind in ("int_type", "float_type"):
        return "write a number without quotes"
    return "add an entry, or leave the key out"


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    fields = model.model_fields if model is not None else {}
    return {field.alias or name: field for name, field in fields.items()}


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model that a location within a file stands for, if there is one."""
    at: Any = model
    for step in location:
        if isinstance(at, type) and issubclass(at, BaseModel):
            field = _fields(at).get(str(step))
            at = field.annotation if field is not None else None
        else:
            at = _value_type(at)
        at = _bare(at)
    return at if isinstance(at, type) and issubclass(at, BaseModel) else None


def _value_type(annotation: Any) -> Any:
    """What a map or list of this type holds."""
    return next(iter(reversed([part for part in get_args(annotation) if part is not Ellipsis])), None)


def _bare(annotation: Any) -> Any:
    """The type without ``Annotated`` and ``Optional``."""
    while True:
        parts = get_args(annotation)
        if hasattr(annotation, "__metadata__"):
            annotation = parts[0]
        elif type(None) in parts:
            annotation = next(part for part in parts if part is not type(None))
        else:
            return annotation


def names_in(document: Document, entries: str) -> Names:
    """The names of all entries of a file, those that are wrong in other respects among them.

    A name that may not be one counts as what it should have been, as others will refer to it so.
    """
    listing = document.data.get(entries) if isinstance(document.data, dict) else None
    if isinstance(listing, dict):
        return Names([suggested_name(name) for name in listing], is_complete=True)
    if not isinstance(listing, list) or not listing:
        return Names([], is_complete=False)
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in listing]
    known = [suggested_name(name) for name in names if isinstance(name, str) and name]
    return Names(known, is_complete=len(known) == len(names))
