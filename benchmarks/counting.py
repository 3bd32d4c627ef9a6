"""How long counting a log takes beside the bare read of the same columns, and how much memory.

A synthetic log of N rows with 8 attributes of 2 to 50 values is written to a temporary
folder; then, in turns and each in a process of its own, the bare read (threads that decode
their row groups and drop them) and the counting of all pairs are timed. Run it as::

    python -m benchmarks.counting --rows 10000000 30000000 --out counting.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SIZES = (2, 3, 5, 8, 10, 20, 35, 50)
NAMES = tuple(f"attribute_{size}" for size in SIZES)
ROW_GROUP = 1 << 20
BATCH = 1 << 17


def write_log(path: Path, rows: int, seed: int = 20261120) -> None:
    """Write the log a row group at a time: memory stays at one group."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    schema = pa.schema(
        [pa.field("label", pa.int64()), pa.field("prediction", pa.int64())]
        + [pa.field(name, pa.string()) for name in NAMES]
    )
    dictionaries = {
        name: pa.array([f"{name}={value:02d}" for value in range(size)])
        for name, size in zip(NAMES, SIZES, strict=True)
    }
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, ROW_GROUP):
            n = min(ROW_GROUP, rows - start)
            label = rng.integers(0, 2, n)
            columns = [pa.array(label), pa.array(np.where(rng.random(n) < 0.9, label, 1 - label))]
            for name, size in zip(NAMES, SIZES, strict=True):
                # Skewed, as real groups are: the first value is the most common one.
                codes = np.minimum((rng.random(n) ** 2 * size).astype(np.int32), size - 1)
                columns.append(
                    pa.DictionaryArray.from_arrays(pa.array(codes), dictionaries[name]).cast(pa.string())
                )
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROW_GROUP)


def bare_read(path: Path, threads: int) -> None:
    """Decode the columns, dictionary-encoded, each thread its own row groups, and drop them."""
    import pyarrow.parquet as pq

    groups = iter(range(pq.read_metadata(path).num_row_groups))
    lock = threading.Lock()

    def work(_: int) -> int:
        seen = 0
        with pq.ParquetFile(path, read_dictionary=list(NAMES)) as file:
            while True:
                with lock:
                    group = next(groups, None)
                if group is None:
                    return seen
                for batch in file.iter_batches(
                    batch_size=BATCH,
                    row_groups=[group],
                    columns=["label", "prediction", *NAMES],
                    use_threads=False,
                ):
                    seen += batch.num_rows

    with ThreadPoolExecutor(threads) as pool:
        sum(pool.map(work, range(threads)))


def count(path: Path, threads: int) -> None:
    """Count all single attributes and all pairs."""
    from slices.log import count_log
    from slices.roles import Attribute, Decision, LogSpec

    attributes = tuple(Attribute(name, "other", name) for name in NAMES)
    spec = LogSpec(
        path.name, path.parent, "label", Decision(prediction="prediction"), attributes, positive="1"
    )
    counted = count_log(spec, intersections=2, minimum=1, threads=threads)
    assert len(counted.slices) == 1 + sum(SIZES) + (sum(SIZES) ** 2 - sum(s * s for s in SIZES)) // 2


def digest(path: Path, threads: int) -> None:
    """SHA-256 of the file alone, which counting does beside."""
    from slices.reading.hashing import sha256_of

    sha256_of(path)


TASKS = {"read": bare_read, "count": count, "sha256": digest}


def peak_memory() -> float:
    """Peak resident memory of this process in MB.

    Not ``ru_maxrss``: that one is inherited from the process that started this one.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measure(task: str, path: Path, threads: int) -> None:
    """Run one task in this process and print its seconds and peak memory in MB as JSON."""
    import numpy
    import pyarrow.parquet  # noqa: F401

    import slices.log  # noqa: F401

    start_memory = peak_memory()
    start, start_cpu = time.perf_counter(), time.process_time()
    TASKS[task](path, threads)
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_s": cpu,
                "peak_mb": peak_memory(),
                "start_mb": start_memory,
                "numpy": numpy.__version__,
            }
        )
    )


def run(task: str, path: Path, threads: int) -> dict[str, float]:
    """One task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.counting", "--task", task, "--path", str(path)]
    done = subprocess.run(
        [*command, "--threads", str(threads)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(rows: int, threads: int, repeats: int) -> dict[str, float]:
    """Best seconds of each task over interleaved repeats, and the largest memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        write_log(path, rows)
        runs: dict[str, list[dict[str, float]]] = {task: [] for task in TASKS}
        for _ in range(repeats):
            for task in TASKS:
                runs[task].append(run(task, path, threads))
        size = path.stat().st_size / 2**20
    best = {task: min(r["seconds"] for r in found) for task, found in runs.items()}
    cpu = {task: min(r["cpu_s"] for r in found) for task, found in runs.items()}
    return {
        "rows": rows,
        "file_mb": size,
        "read_s": best["read"],
        "count_s": best["count"],
        "sha256_s": best["sha256"],
        "ratio": best["count"] / best["read"],
        # On a machine that others use as well, the processor time is the fairer one.
        "cpu_ratio": cpu["count"] / cpu["read"],
        "read_peak_mb": max(r["peak_mb"] for r in runs["read"]),
        "count_peak_mb": max(r["peak_mb"] for r in runs["count"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000, 30_000_000])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--task", choices=sorted(TASKS), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measure(options.task, options.path, options.threads)
        return
    results = [compare(rows, options.threads, options.repeats) for rows in options.rows]
    columns = list(results[0])
    print("| " + " | ".join(columns) + " |")
    print("|" + " ---: |" * len(columns))
    for result in results:
        print("| " + " | ".join(f"{v:,.0f}" if v > 100 else f"{v:.2f}" for v in result.values()) + " |")
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
