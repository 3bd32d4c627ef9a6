"""What a whole ``xaudit run`` costs on a large log, and where the seconds go.

The log of :mod:`benchmarks.counting` (8 attributes of 2 to 50 values, all pairs: about 6,800
slices), one policy rule over every attribute, the evidence, HTML and PDF. Run it as::

    python -m benchmarks.whole_run --rows 10000000
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.counting import NAMES, write_log


class Stopwatch:
    """A ``progress`` that adds up the seconds between the first and the last word of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._current: str | None = None
        self._since = time.perf_counter()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.perf_counter()
        if self._current is not None:
            self.seconds[self._current] = self.seconds.get(self._current, 0.0) + now - self._since
        self._current, self._since = what, now

    def stop(self) -> None:
        self(self._current or "start", 1, 1)


def configuration(log: Path, resamples: int, intersections: int, formats: list[str]) -> str:
    """An audit.toml for the synthetic log."""
    attributes = "\n".join(f'[[attributes]]\nname = "{name}"\nkind = "other"' for name in NAMES)
    return f"""
[subject]
name = "Synthetic log"
[log]
path = "{log.name}"
label = "label"
prediction = "prediction"
positive = "1"
{attributes}
[slices]
intersections = {intersections}
[statistics]
resamples = {resamples}
[[policy.rules]]
id = "recall-floor"
metric = "recall"
at_least = 0.88
attributes = {json.dumps(list(NAMES))}
[report]
formats = {json.dumps(formats)}
"""


def main() -> None:
    """Write the log, run the audit, print the stages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--intersections", type=int, default=2)
    parser.add_argument("--formats", nargs="+", default=["html", "pdf"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_log(folder / "log.parquet", options.rows)
        text = configuration(
            folder / "log.parquet", options.resamples, options.intersections, options.formats
        )
        (folder / "audit.toml").write_text(text, encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        from audit.run import run_audit

        stopwatch = Stopwatch()
        start = time.perf_counter()
        evidence = run_audit(folder / "audit.toml", out=folder / "out", progress=stopwatch)
        stopwatch.stop()
        whole = time.perf_counter() - start
        sizes = {path.name: path.stat().st_size for path in sorted((folder / "out").iterdir())}
    print(f"rows {options.rows:,}  slices {len(evidence.results.slices):,}  resamples {options.resamples:,}")
    print(f"whole run {whole:.1f} s")
    for what, seconds in sorted(stopwatch.seconds.items(), key=lambda item: -item[1]):
        print(f"  {seconds:8.1f} s  {what}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1024:.0f} MB (after writing the log: {before / 1024:.0f} MB)")
    print("files " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))


if __name__ == "__main__":
    sys.exit(main())
