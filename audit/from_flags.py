"""A run without a configuration file: the same ``Config``, from command-line flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from audit.config import Loaded, from_document
from audit.errors import InputError


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line said; None and empty: not said."""

    log: str | None = None
    label: str | None = None
    prediction: str | None = None
    score: str | None = None
    threshold: float | None = None
    tie: str | None = None
    positive: str | None = None
    klass: str | None = None
    cluster: str | None = None
    weight: str | None = None
    id: str | None = None
    baseline: str | None = None
    missing: Sequence[str] = field(default=())
    attributes: Sequence[str] = field(default=())
    intersections: int | None = None
    minimum: int | None = None
    confidence: float | None = None
    resamples: int | None = None
    seed: int | None = None
    formats: Sequence[str] = field(default=())
    name: str | None = None
    version: str | None = None
    purpose: str | None = None

    def given(self) -> list[str]:
        """The flags that were said, as the user typed them."""
        return [
            option
            for option, name in OPTIONS
            if getattr(self, name) is not None and getattr(self, name) not in ((), [])
        ]


# Option -> field, in the order in which the rebuilt command writes them.
OPTIONS = (
    ("--log", "log"),
    ("--label", "label"),
    ("--prediction", "prediction"),
    ("--score", "score"),
    ("--threshold", "threshold"),
    ("--tie", "tie"),
    ("--positive", "positive"),
    ("--class", "klass"),
    ("--cluster", "cluster"),
    ("--weight", "weight"),
    ("--id", "id"),
    ("--baseline", "baseline"),
    ("--missing", "missing"),
    ("--attribute", "attributes"),
    ("--intersections", "intersections"),
    ("--minimum", "minimum"),
    ("--confidence", "confidence"),
    ("--resamples", "resamples"),
    ("--seed", "seed"),
    ("--format", "formats"),
    ("--name", "name"),
    ("--model-version", "version"),
    ("--purpose", "purpose"),
)


def load_flags(flags: Flags) -> Loaded:
    """The configuration that the flags amount to; relative paths start from the working folder.

    Raises
    ------
    InputError
        A flag is missing, or says something that it may not say.
    """
    if flags.log is None:
        raise InputError(
            "Neither a configuration nor --log is given; type `xaudit init LOG` to begin with one."
        )
    document: dict[str, Any] = {
        "subject": _said(name=flags.name, version=flags.version, purpose=flags.purpose),
        "log": _said(
            path=flags.log,
            label=flags.label,
            prediction=flags.prediction,
            score=flags.score,
            threshold=flags.threshold,
            tie=flags.tie,
            positive=flags.positive,
            cluster=flags.cluster,
            weight=flags.weight,
            id=flags.id,
            baseline=flags.baseline,
            missing=list(flags.missing) or None,
        )
        | _said(**{"class": flags.klass}),
        "attributes": [_attribute(text) for text in flags.attributes],
        "slices": _said(intersections=flags.intersections, minimum=flags.minimum),
        "statistics": _said(confidence=flags.confidence, resamples=flags.resamples, seed=flags.seed),
        "report": _said(formats=list(flags.formats) or None),
    }
    config = from_document(document, where="command line")
    return Loaded(config=config, root=Path.cwd(), name=None, sha256=None, command=_command(flags))


def _said(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def _relative(path: str) -> str:
    """A path below the working folder, from there on; any other as it is."""
    here = Path(path)
    if not here.is_absolute():
        return path
    try:
        return here.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path


def _attribute(text: str) -> dict[str, object]:
    """``name[:kind[:cut,cut]]`` as a table of the configuration.

    >>> _attribute("age:demographic:18,40")
    {'name': 'age', 'kind': 'demographic', 'bands': [18.0, 40.0]}
    """
    name, _, rest = text.partition(":")
    kind, _, cuts = rest.partition(":")
    table: dict[str, object] = {"name": name}
    if kind:
        table["kind"] = kind
    if cuts:
        try:
            table["bands"] = [float(cut) for cut in cuts.split(",")]
        except ValueError as error:
            raise InputError(
                f"--attribute '{text}': the cut points '{cuts}' are not numbers; write for example "
                f"age:demographic:18,40,65."
            ) from error
    return table


def _command(flags: Flags) -> str:
    """The command that repeats the run, without the folder it writes to."""
    words = ["xaudit", "run"]
    for option, name in OPTIONS:
        value = getattr(flags, name)
        if value is None:
            continue
        if name == "log":
            value = shown_path(str(value))
        for item in [value] if isinstance(value, str | int | float) else value:
            words += [option, quote(str(item))]
    return " ".join([*words, "--out DIR"])


def shown_path(path: str) -> str:
    """A path as evidence may hold it: never absolute, since that names a machine.

    >>> shown_path("logs/a.csv"), shown_path("/home/ann/a.csv")
    ('logs/a.csv', 'a.csv')
    """
    relative = _relative(path)
    return Path(relative).name if Path(relative).is_absolute() else relative
