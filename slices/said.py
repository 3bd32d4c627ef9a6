"""Said: a sentence that keeps its code and its values, so that a report can say it in another language.

The statistics, the concept tests and the run explain themselves in English: reasons, names of
methods, limitations. A `Said` is that text, and beside it what it was made of. The templates stand
where the sentence is decided; the catalogue's table ``[said]`` is a copy of them, which a test holds
to be complete.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Integral, Real
from string import Formatter

# A hyphen before a number is a minus; in a name, a date or an exponent it is none.
HYPHEN = re.compile(r"(?<![\w)])-(?=\.?\d)")
MINUS = "\u2212"

Value = str | int | float | Sequence[str]


class Said(str):
    """A generated English sentence or phrase.

    Attributes
    ----------
    code : str
        Its key in the catalogue: ``limitation.cluster.what``.
    values : mapping of str to str, int, float or list of str
        What fills the template; a text may be a `Said` itself.
    """

    code: str
    values: Mapping[str, Value]

    def __new__(cls, text: str, code: str, values: Mapping[str, Value]) -> Said:
        said = super().__new__(cls, text)
        said.code, said.values = code, values
        return said

    def __reduce__(self) -> tuple[type[Said], tuple[str, str, dict[str, Value]]]:
        return Said, (str(self), self.code, dict(self.values))


def say(code: str, template: str, **values: Value) -> Said:
    """Fill in ``template`` and remember how.

    Parameters
    ----------
    code, template : str
        Literals: the catalogue is made by reading them in the source.
    **values
        Numbers are formatted as Python does (``{rows:,}``). A list is joined by what stands behind
        the colon (``{names:; }``), or as ``a, b and c`` (``{names:and}``). ``{name:capital}`` starts
        with a capital; ``{limit:number}`` is a number that is written out already.

    Raises
    ------
    ValueError
        A number is infinite or NaN.

    >>> said = say("example", "{share:.1%} of {names:and}", share=0.125, names=["a", "b"])
    >>> said, said.code, said.values["share"]
    ('12.5% of a and b', 'example', 0.125)
    """
    plain = {name: _plain(value) for name, value in values.items()}
    return Said(_ENGLISH.vformat(template, (), plain), code, plain)


def sentence_pair(first: str, second: str) -> Said:
    """Two sentences, one after the other."""
    return say("sentences", "{first} {second}", first=first, second=second)


def _plain(value: Value) -> Value:
    """Without NumPy's own numbers."""
    if isinstance(value, str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not isfinite(value):
            raise ValueError(f"A sentence cannot hold {value}, which JSON does not have; say it as text.")
        return float(value)
    return list(value)  # type: ignore[arg-type]


class _English(Formatter):
    def format_field(self, value: object, format_spec: str) -> str:
        if isinstance(value, list):
            if format_spec != "and":
                return format_spec.join(value)
            return " and ".join([", ".join(value[:-1]), *value[-1:]] if len(value) > 1 else value)
        if format_spec == "number":
            return HYPHEN.sub(MINUS, str(value))
        if format_spec == "capital":
            text = str(value)
            return text[:1].upper() + text[1:]
        text = str(format(value, format_spec))
        return text if isinstance(value, str) else HYPHEN.sub(MINUS, text)


_ENGLISH = _English()
