"""The demo: build the built-in example, run it, and tell what ``run`` would have returned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audit.config import load
from audit.output import check_target, staged, write_documents, write_manifest
from audit.progress import Progress, silent
from audit.run import documents, gather

if TYPE_CHECKING:
    from reports.evidence import Evidence

EXAMPLE = "example"
SEED = 20261120


def run_demo(out: Path, *, progress: Progress = silent) -> Evidence:
    """Train the example's network, run the audit, and put report and example into ``out``.

    The example (images, log, weights, ``audit.toml``) lies in ``out/example``, so that
    ``xaudit run out/example/audit.toml`` repeats the run and can be played with.
    """
    from concepts.demo.training import build_demo

    check_target(out)
    with staged(out) as folder:
        loaded = load(build_demo(folder / EXAMPLE, seed=SEED, progress=progress))
        loaded = replace(loaded, command=f"xaudit run {EXAMPLE}/{loaded.name} --out DIR")
        write_manifest(folder / EXAMPLE)
        evidence = gather(loaded, progress=progress)
        write_documents(folder, documents(evidence, progress=progress))
    return evidence
