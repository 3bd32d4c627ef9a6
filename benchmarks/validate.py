"""Regenerate docs/validation.md and the two pages behind it: the tool's own measured error rates.

python -m benchmarks.validate
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import validate_concepts, validate_slices

PAGE = """# Validation: what xaudit's statistics do on data with a known truth

A confidence interval is a promise about repetition, so it can be checked by repetition. These pages
hold the tool's own measured coverage, false alarms and power. `python -m benchmarks.validate` writes
them again; the seed is fixed.

- [Slices](validation-slices.md): coverage of every interval *as the tool selects it*, family-wise error
  of the gate, power of *meets*, the largest gap, scores, paired models, weights, missing metadata.
- [Concepts](validation-concepts.md): false-positive rates and power of the concept tests on networks
  with planted concepts.
- [Texture against shape](validation-cue-conflict.md): the concept test on networks trained on
  shape or on texture; written by a command of its own, since it needs the published images.

## What was promised before anything was tuned

- Proportions, supports of 10 and more, true shares from .50 to .99, 15 to 2,000 patients, intra-class
  correlation from 0 to .5: coverage of the nominal 95% interval never below 93.5% beyond Monte Carlo
  error; no interval of zero width.
- Averaged over shares within .03: at most 97.5% for supports of 30 and more with independent rows.
- Exceptions that discreteness forces: where fewer than four rows are expected on the rarer side
  (n(1 - p) < 4) the count 0 or n has a large probability, and every interval that covers it covers
  too much; supports below 30 get exact limits, which cover 95% at least and 96 to 98% on average;
  and few patients: at or near 0 and 1, where the patients' spread cannot be estimated, limits count
  patients as rows.
- At most 5% of logs with 400 true null slices show any *fails*, also at .95 and .98 and at 50 and 500
  rows a slice.
- The interval of the largest gap covers 0 in at least 95% of logs with equal groups, and true gaps of
  .05 and .10 in at least 93.5%.
"""


def main() -> None:
    """Write the three pages."""
    docs = Path("docs")
    (docs / "validation.md").write_text(PAGE, encoding="utf-8")
    validate_slices.write(docs / "validation-slices.md")
    validate_concepts.write(docs / "validation-concepts.md")


if __name__ == "__main__":
    main()
