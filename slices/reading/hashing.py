"""SHA-256 of the input files, streamed, in a thread of its own while the rows are counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

_CHUNK = 1 << 20


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; a mebibyte is held at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Hashing:
    """Hashes of files, worked out in the background while the context is open."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = list(paths)
        self._pool: ThreadPoolExecutor | None = None
        self._futures: dict[Path, Future[str]] = {}

    def __enter__(self) -> Hashing:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sha256")
        self._futures = {path: self._pool.submit(sha256_of, path) for path in self._paths}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pool is not None
        self._pool.shutdown(wait=True, cancel_futures=problem is not None)

    def of(self, path: Path) -> str:
        """The hash of one of the files; waits for it."""
        return self._futures[path].result()
