"""What a report costs: seconds, pages, megabytes and peak memory, by the number of slices.

Usage: ``python benchmarks/report_cost.py [500 5000]``. Each size runs in a process of its own, so that the
peak memory is its own. Three metrics a slice; two attributes and all their pairs; the records are copies
of a simulated log's under made-up names, since only their number costs anything.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

METRICS = ("precision", "recall", "fpr")
LIMIT_MB = 1024


def evidence_of(slices: int) -> object:
    """An evidence document with ``slices`` slices: the values of two attributes, then their pairs."""
    from reports.evidence import Evidence
    from tests.reports import sample

    made: Evidence = sample.evidence()
    templates = [record for record in made.results.slices if len(record.slice) == 1]
    templates = [
        each.model_copy(update={"estimates": [e for e in each.estimates if e.metric in METRICS]})
        for each in templates
    ]
    side = math.isqrt(slices) + 1
    values = {name: [f"{name} {number:03d}" for number in range(side)] for name in ("scanner", "site")}
    one_way = [{name: value} for name, some in values.items() for value in some]
    pairs = [{"scanner": a, "site": b} for a, b in itertools.product(*values.values())]
    records = [
        templates[number % len(templates)].model_copy(update={"slice": names})
        for number, names in enumerate((one_way + pairs)[:slices])
    ]
    attributes = [
        each.model_copy(
            update={
                "values": [each.values[0].model_copy(update={"value": value}) for value in values[each.name]]
            }
        )
        for each in made.data.attributes
        if each.name in values
    ]
    return made.model_copy(
        update={
            "results": made.results.model_copy(update={"slices": records}),
            "data": made.data.model_copy(update={"attributes": attributes}),
        }
    )


def measure(slices: int) -> dict[str, float]:
    """Render HTML and PDF once, in this process."""
    import pypdf

    from reports.evidence import Evidence
    from reports.render import render

    evidence = evidence_of(slices)
    assert isinstance(evidence, Evidence)
    start = time.perf_counter()
    html = render(evidence, ["html"])["report.html"]
    between = time.perf_counter()
    pdf = render(evidence, ["pdf"])["report.pdf"]
    end = time.perf_counter()
    return {
        "slices": slices,
        "html_seconds": between - start,
        "html_mb": len(html) / 1e6,
        "pdf_seconds": end - between,
        "cpu_seconds": time.process_time(),
        "pdf_mb": len(pdf) / 1e6,
        "pages": len(pypdf.PdfReader(io.BytesIO(pdf)).pages),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        return
    print("slices  HTML s  HTML MB   PDF s  CPU s  PDF MB  pages  peak MB")
    too_large = False
    for size in [int(each) for each in sys.argv[1:]] or [500, 5000]:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(size)], capture_output=True, text=True, check=True
        )
        m = json.loads(done.stdout)
        print(
            f"{size:6d}  {m['html_seconds']:6.1f}  {m['html_mb']:7.2f}  {m['pdf_seconds']:6.1f}  "
            f"{m['cpu_seconds']:5.1f}  {m['pdf_mb']:6.2f}  {m['pages']:5.0f}  {m['peak_mb']:7.0f}"
        )
        too_large = too_large or m["peak_mb"] > LIMIT_MB
    if too_large:
        raise SystemExit(f"A report took more than {LIMIT_MB} MB.")


if __name__ == "__main__":
    main()
