"""Mistakes: a validation error of the configuration, told in one line: key, found, fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from audit.config.models import Config
from audit.config.table import Table


def told(error: ValidationError, document: Mapping[str, Any]) -> str:
    """One line on the first mistake."""
    return _tell(_first(error.errors(), document), document)


def _first(errors: Sequence[ErrorDetails], document: Mapping[str, Any]) -> ErrorDetails:
    """The mistake to tell: inside a table that may also be a name, the one that is about the table."""
    log = document.get("log")
    if isinstance(log, Mapping) and isinstance(log.get("baseline"), Mapping):
        return next((error for error in errors if "Baseline" in error["loc"]), errors[0])
    return errors[0]


def _tell(error: ErrorDetails, document: Mapping[str, Any]) -> str:
    """One line on one mistake: the key, what was found, how to mend it."""
    steps = [step for step in error["loc"] if not _is_branch(step)]
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    key = _spelt(steps, document)
    if kind == "xaudit":
        message = str(context["message"])
        return _sentence(f"{key}: {message}" if key else message)
    if kind == "extra_forbidden":
        table = _spelt(steps[:-1], document) or "the configuration"
        known = _keys(steps[:-1])
        return f"unknown key '{steps[-1]}' in {table}{_unknown_tail(str(steps[-1]), known)}"
    if kind == "missing":
        table = _spelt(steps[:-1], document)
        return f"{table + ' ' if table else ''}'{steps[-1]}' is missing: {_missing_hint(str(steps[-1]))}."
    shown = _shown(found)
    if str(steps[-1]) in _UNIONS and kind in {*_TYPES, "literal_error"}:
        return f"{key} is {shown}; it must be {_UNIONS[str(steps[-1])]}."
    if kind in ("literal_error", "enum"):
        return f"{key} is {shown}; it must be {context['expected']}."
    bounds = {
        "greater_than_equal": ("at least", "ge"),
        "greater_than": ("above", "gt"),
        "less_than_equal": ("at most", "le"),
        "less_than": ("below", "lt"),
    }
    if kind in bounds:
        words, name = bounds[kind]
        return f"{key} is {shown}; it must be {words} {context[name]:g}."
    if kind == "string_pattern_mismatch":
        return f"{key} is {shown}; it must look like {_pattern_example(str(steps[-1]))}."
    if kind == "string_too_short":
        return f"{key} is empty; give it a text."
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length") if kind == "too_short" else context.get("max_length")
        return (
            f"{key} has {context.get('actual_length')} values; it must have "
            f"{'at least' if kind == 'too_short' else 'at most'} {bound}."
        )
    if kind == "finite_number":
        return f"{key} is {shown}; it must be a finite number."
    expected = _TYPES.get(kind)
    if expected:
        return f"{key} is {shown}; it must be {expected}."
    return _sentence(f"{key} is {shown}: {error['msg'][0].lower()}{error['msg'][1:]}")


# Keys that take one of two shapes: pydantic tells only of the first.
_UNIONS = {
    "intersections": "a whole number from 1 to 4, or a list of lists of attribute names",
    "baseline": "a column's name, or a table with prediction or score",
    "minimum": "'nchs' or a whole number from 1",
    "output": "the name or the number of one of the model's heads",
}

_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def _is_branch(step: int | str) -> bool:
    """Whether a step of pydantic's location names a branch of a union and not a key."""
    return isinstance(step, str) and (
        step in {"Baseline", "LabelAccuracy", "int", "str", "constrained-int", "constrained-str"}
        or step.startswith(("list[", "dict[", "literal[", "constrained", "function-"))
    )


def _spelt(steps: Sequence[int | str], document: Mapping[str, Any]) -> str:
    """A location as the file writes it: ``[[policy.rules]] 'fpr-gap' metric``."""
    if not steps:
        return ""
    here: Any = document
    table: list[str] = []
    rest: list[str] = []
    for step in steps:
        if isinstance(step, int):
            here = here[step] if isinstance(here, list) and step < len(here) else None
            name = here.get("id", here.get("name")) if isinstance(here, dict) else None
            if isinstance(here, dict):
                table = [f"[[{'.'.join(table)}]]" + (f" '{name}'" if name else f" number {step + 1}")]
            else:
                rest.append(f"number {step + 1}")
            continue
        here = here.get(step) if isinstance(here, dict) else None
        if (isinstance(here, dict) and not rest and not (table and table[0].startswith("[["))) or (
            isinstance(here, list) and here and isinstance(here[0], dict) and not rest
        ):
            table.append(step)
        else:
            rest.append(step)
    if table and not table[0].startswith("[["):
        table = [f"[{'.'.join(table)}]"]
    return " ".join([*table, *rest])


def _keys(steps: Sequence[int | str]) -> list[str]:
    """The keys that the table at a location knows."""
    model: Any = Config
    for step in steps:
        if isinstance(step, int):
            continue
        field = next(
            (info for name, info in model.model_fields.items() if step in (name, info.alias)),
            None,
        )
        model = _model_in(field.annotation) if field is not None else None
        if model is None:
            return []
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[Table] | None:
    """The table class inside an annotation such as ``list[Rule] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _unknown_tail(found: str, known: Sequence[str]) -> str:
    near = get_close_matches(found, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"; it knows: {', '.join(known)}.{hint}" if known else "."


def _missing_hint(key: str) -> str:
    hints = {
        "log": "add a [log] table with path, label and prediction",
        "path": "name the file or folder of the log",
        "id": "give the rule a name",
        "name": "give it a name",
        "weights": "name the weights file (.safetensors, .pt or .pt2)",
        "layers": "name the layers to test; `xaudit layers` lists them",
        "outputs": "list the class names in logit order",
        "input": "state size, channels, mean and std",
        "concept": "add a [[concepts.concept]]",
        "sensitivity": "state the share of truly positive rows that are labelled so",
        "specificity": "state the share of truly negative rows that are labelled so",
    }
    return hints.get(key, "add it")


def _pattern_example(key: str) -> str:
    examples = {
        "factory": "'package.module:function'",
        "sha256": "64 digits 0-9a-f",
        "accent": "'#0b5fa5'",
    }
    return examples.get(key, "the example in the documentation")


def _shown(value: object) -> str:
    text = (
        f"'{value}'"
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "?")) else text + "."
