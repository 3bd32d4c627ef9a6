"""Sources: files of a prediction log, whatever their format, as record batches of chosen columns.

One small reader a format, each splitting a file into parts that threads read on their own
(a Parquet row group, an Arrow record batch, a whole CSV or JSON Lines file). Nothing here
knows what a column means.
"""

from __future__ import annotations

import glob
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.ipc as pa_ipc
import pyarrow.parquet as pq

from slices.errors import LogError
from slices.reading.arrays import index_array, text_array
from slices.reading.json_lines import BATCH_ROWS, JsonLinesReader, refuse_utf16
from slices.reading.quotes import CheckedStream, refuse_open_quotes
from slices.reading.text import is_text

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_Result = TypeVar("_Result")


class Reader(Protocol):
    """One format. ``name`` is what an error calls the format."""

    name: str

    def columns(self, path: Path) -> dict[str, pa.DataType]:
        """The file's columns with their types."""

    def parts(self, path: Path) -> Sequence[int | None]:
        """Rows of each independently readable part; None where only reading tells."""

    def batches(self, path: Path, part: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The part's rows, in order, with exactly these columns."""


class ParquetReader:
    """Parquet: a part is a row group; text columns come dictionary-encoded."""

    name = "Parquet"

    def columns(self, path: Path) -> dict[str, pa.DataType]:
        schema = pq.read_schema(path)
        return dict(zip(_distinct(schema.names, path), schema.types, strict=True))

    def parts(self, path: Path) -> Sequence[int | None]:
        metadata = pq.read_metadata(path)
        return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]

    def batches(self, path: Path, part: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        types = self.columns(path)
        with pq.ParquetFile(path, read_dictionary=[c for c in columns if is_text(types[c])]) as file:
            yield from file.iter_batches(
                batch_size=BATCH_ROWS, row_groups=[part], columns=list(columns), use_threads=False
            )


class CsvReader:
    """CSV, plain or compressed, in UTF-8: every column is text exactly as written; a part is a file."""

    name = "CSV"

    def columns(self, path: Path) -> dict[str, pa.DataType]:
        refuse_utf16(path)
        try:
            with self._open(pa.input_stream(path, compression="detect"), None, path) as stream:
                return dict.fromkeys(_distinct(stream.schema.names, path), pa.string())
        except pa.ArrowInvalid:
            refuse_open_quotes(path, _delimiter(path))
            raise

    def parts(self, path: Path) -> Sequence[int | None]:
        return [None]

    def batches(self, path: Path, part: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        checked = CheckedStream(path, _delimiter(path))
        try:
            with self._open(checked, columns, path) as stream:
                yield from stream
        except pa.ArrowInvalid:
            # An open quotation mark looks like many mistakes: it is told before what Arrow makes of it.
            refuse_open_quotes(path, _delimiter(path))
            raise
        refuse_open_quotes(path, _delimiter(path), checked)

    def _open(
        self, source: pa.NativeFile | CheckedStream, columns: Sequence[str] | None, path: Path
    ) -> pa_csv.CSVStreamingReader:
        names = list(columns) if columns is not None else self._header(path)
        # Dictionary columns do not grow across a stream's blocks in Arrow: read text, encode later.
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=None if columns is None else names,
            null_values=[],
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        return pa_csv.open_csv(
            source,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=1 << 22),
            parse_options=_parse_options(path),
            convert_options=convert,
        )

    def _header(self, path: Path) -> list[str]:
        with pa_csv.open_csv(
            pa.input_stream(path, compression="detect"),
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=_parse_options(path),
        ) as stream:
            return list(stream.schema.names)


def _delimiter(path: Path) -> str:
    return "\t" if ".tsv" in path.suffixes else ","


def _parse_options(path: Path) -> pa_csv.ParseOptions:
    return pa_csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True)


class ArrowReader:
    """Arrow IPC and Feather version 2: a part is a record batch (file format) or the file (stream format)."""

    name = "Arrow IPC"

    def columns(self, path: Path) -> dict[str, pa.DataType]:
        with pa.memory_map(str(path)) as stream:
            schema = self._open(stream).schema
        return dict(zip(_distinct(schema.names, path), schema.types, strict=True))

    def parts(self, path: Path) -> Sequence[int | None]:
        with pa.memory_map(str(path)) as stream:
            reader = self._open(stream)
            if isinstance(reader, pa_ipc.RecordBatchStreamReader):
                return [None]
            return [reader.get_batch(place).num_rows for place in range(reader.num_record_batches)]

    def batches(self, path: Path, part: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(path)) as stream:
            reader = self._open(stream)
            streamed = isinstance(reader, pa_ipc.RecordBatchStreamReader)
            for batch in reader if streamed else [reader.get_batch(part)]:
                chosen = batch.select(list(columns))
                for start in range(0, chosen.num_rows, BATCH_ROWS):
                    yield chosen.slice(start, BATCH_ROWS)

    @staticmethod
    def _open(stream: pa.NativeFile) -> pa_ipc.RecordBatchFileReader | pa_ipc.RecordBatchStreamReader:
        try:
            return pa_ipc.open_file(stream)
        except pa.ArrowInvalid:
            stream.seek(0)
            return pa_ipc.open_stream(stream)


_PARQUET, _CSV, _JSON, _ARROW = ParquetReader(), CsvReader(), JsonLinesReader(), ArrowReader()
READERS: dict[str, Reader] = {
    ".parquet": _PARQUET,
    ".parq": _PARQUET,
    ".pq": _PARQUET,
    ".csv": _CSV,
    ".csv.gz": _CSV,
    ".tsv": _CSV,
    ".tsv.gz": _CSV,
    ".json": _JSON,
    ".json.gz": _JSON,
    ".jsonl": _JSON,
    ".jsonl.gz": _JSON,
    ".ndjson": _JSON,
    ".ndjson.gz": _JSON,
    ".arrow": _ARROW,
    ".feather": _ARROW,
    ".ipc": _ARROW,
}
# Endings of tables in other forms: a part of a log that is not read must not go unnoticed.
TABLES = (".dat", ".tab", ".psv", ".xls", ".xlsx", ".ods", ".avro", ".orc", ".db", ".sqlite")
OBJECTS = (".pkl", ".pickle", ".npy", ".npz", ".rds", ".sas7bdat", ".dta")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".tar")
MAY_HOLD_ROWS = frozenset((*TABLES, *OBJECTS, *PACKED))


@dataclass(frozen=True, slots=True)
class File:
    """A file of the log: where it is, what it is called (as configured), its format and Hive values."""

    path: Path
    name: str
    reader: Reader
    partition: tuple[tuple[str, str | None], ...] = ()

    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the file and of its folders' names; a column of the file goes before a folder's."""
        found = _told(self, lambda: self.reader.columns(self.path))
        return {**{key: pa.string() for key, _ in self.partition}, **found}

    def parts(self) -> tuple[Part, ...]:
        """The file's parts, in order."""
        rows = _told(self, lambda: self.reader.parts(self.path))
        return tuple(Part(self, place, count) for place, count in enumerate(rows))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a file that one thread reads; ``rows`` is None where only reading tells."""

    file: File
    place: int
    rows: int | None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The part's rows with the asked columns, those of the folders' names among them.

        Raises
        ------
        LogError
            The file is damaged or no longer what its first lines promised.
        """
        folders = dict(self.file.partition)
        inside = _told(self.file, lambda: self.file.reader.columns(self.file.path)) if folders else {}
        from_folder = [c for c in columns if c in folders and c not in inside]
        read = [c for c in columns if c not in from_folder]
        # A log of which only folder names are asked still has to tell its number of rows.
        if not read:
            read = [next(iter(inside))]
        batches = self.file.reader.batches(self.file.path, self.place, read)
        while True:
            batch = _told(self.file, lambda: next(batches, None))
            if batch is None:
                return
            by_name = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name in from_folder:
                by_name[name] = _constant(folders[name], batch.num_rows)
            yield pa.RecordBatch.from_arrays([by_name[c] for c in columns], names=list(columns))


def _constant(value: str | None, rows: int) -> pa.DictionaryArray:
    if value is None:
        return pa.nulls(rows, pa.dictionary(pa.int32(), pa.string()))
    return pa.DictionaryArray.from_arrays(index_array(np.zeros(rows, np.int32)), text_array([value]))


@dataclass(frozen=True, slots=True)
class Source:
    """A prediction log as found on disk: its files in canonical order.

    ``ignored`` are files in the log's folder that are no part of it, by their names from there on.
    """

    path: str
    files: tuple[File, ...]
    ignored: tuple[str, ...] = ()

    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the first file."""
        return self.files[0].columns()

    def parts(self) -> tuple[Part, ...]:
        """Every part of every file, in the order of the files."""
        return tuple(part for file in self.files for part in file.parts())

    def require(self, roles: Sequence[tuple[str, str]]) -> None:
        """Check that every file has the columns that the roles name.

        Parameters
        ----------
        roles : sequence of (column, role)
            The role is how the error names the column's use: ``label``, ``attribute 'tone'``.

        Raises
        ------
        LogError
            A column is missing; the message lists those that are there.
        """
        for file in self.files:
            found = list(file.columns())
            for column, role in roles:
                if column not in found:
                    near = get_close_matches(column, found, n=1)
                    hint = f" Did you mean '{near[0]}'?" if near else _separator_hint(file, found)
                    listed = ", ".join(sorted(found)[:30]) + (", ..." if len(found) > 30 else "")
                    raise LogError(
                        f"Column '{column}' ({role}) is not in {file.name}; it has: {listed}.{hint}"
                    )


def open_source(path: str, root: Path) -> Source:
    """Find the files of a log.

    Parameters
    ----------
    path : str
        A file, a folder (its files of one format, at any depth; ``key=value`` folders are Hive
        partitions) or a glob; relative to ``root``.

    Raises
    ------
    LogError
        Nothing is there, the format is unknown or mixed, or the path is a database's address.
    """
    if "://" in path:
        raise LogError(
            f"'{path}' is an address; this version reads logs from files: export the query to Parquet."
        )
    full = root / path
    if full.is_file():
        return Source(path, (File(full, path, _reader_of(full, path)),))
    if full.is_dir():
        return _folder_source(full, path)
    if glob.has_magic(path):
        return Source(path, _glob_files(path, root))
    raise LogError(f"Log '{path}' was not found in {root.name or root}; give a file, a folder or a glob.")


def _separator_hint(file: File, found: Sequence[str]) -> str:
    """What may be wrong where a CSV file seems to have one column only."""
    if file.reader is not _CSV or len(found) != 1:
        return ""
    for character, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (",", "commas")):
        if character in found[0]:
            return (
                f" That is one column: the file seems to be separated by {name}; save a .csv with commas, "
                "a .tsv with tabs."
            )
    return ""


def _folder_source(folder: Path, path: str) -> Source:
    """The files of a folder that are a log's, and those that are nothing of the kind.

    Raises
    ------
    LogError
        No file of a known format, several formats, or a file that may well hold rows and cannot be read.
    """
    found, ignored = [], []
    for entry in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        inside = entry.relative_to(folder)
        hidden = any(piece.startswith((".", "_")) and "=" not in piece for piece in inside.parts)
        if hidden or not entry.is_file():
            continue
        name = f"{path.rstrip('/')}/{inside.as_posix()}"
        if _suffix(entry) in READERS:
            found.append(File(entry, name, READERS[_suffix(entry)], _hive(inside.parts[:-1])))
        elif entry.suffix.lower() in MAY_HOLD_ROWS:
            raise LogError(
                f"Folder '{path}' holds '{inside.as_posix()}', which may hold rows and cannot be read (known "
                f"are {_known()}); write it anew, move it away, or give a glob."
            )
        else:
            ignored.append(inside.as_posix())
    if not found:
        raise LogError(f"Folder '{path}' holds no file of a known format ({_known()}).")
    return Source(path, _one_format(found, path), tuple(ignored))


def _glob_files(path: str, root: Path) -> tuple[File, ...]:
    names = sorted(glob.glob(path, root_dir=root, recursive=True))
    found = [
        File(root / name, name, _reader_of(root / name, name), _hive(Path(name).parts[:-1]))
        for name in names
        if (root / name).is_file()
    ]
    if not found:
        raise LogError(f"No file matches '{path}'; check the pattern, which starts from {root.name or root}.")
    return _one_format(found, path)


def _one_format(files: Sequence[File], path: str) -> tuple[File, ...]:
    formats = sorted({file.reader.name for file in files})
    if len(formats) > 1:
        raise LogError(f"'{path}' mixes {' and '.join(formats)} files; keep one format or give a glob.")
    keys = {tuple(key for key, _ in file.partition) for file in files}
    if len(keys) > 1:
        raise LogError(f"'{path}' has files at different depths of key=value folders; keep one layout.")
    return tuple(files)


def _hive(folders: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    pairs = []
    for folder in folders:
        key, equals, value = folder.partition("=")
        if equals and key:
            pairs.append((unquote(key), None if value == HIVE_NULL else unquote(value)))
    return tuple(pairs)


def _suffix(path: Path) -> str:
    last = path.suffix.lower()
    return Path(path.stem).suffix.lower() + last if last == ".gz" else last


def _reader_of(path: Path, name: str) -> Reader:
    reader = READERS.get(_suffix(path))
    if reader is None:
        raise LogError(f"Log '{name}' has the unknown ending '{_suffix(path)}'; known are {_known()}.")
    return reader


def _known() -> str:
    return ", ".join(READERS)


def _distinct(names: Sequence[str], path: Path) -> list[str]:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise LogError(f"Column '{twice[0]}' stands twice in {path.name}; rename one.")
    return list(names)


def _told(file: File, read: Callable[[], _Result]) -> _Result:
    """Run a read and turn what the format's library raises into one line about the file."""
    try:
        return read()
    except LogError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError, zlib.error) as problem:
        first = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise LogError(
            f"{file.name} cannot be read as {file.reader.name}: {first.rstrip('.')}. Is the file whole?"
        ) from None
