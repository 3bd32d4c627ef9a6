"""The command line: commands, options, exit codes, and how a mistake is told. Nothing else.

Only typer is imported at the top, so that ``xaudit --help`` costs what a bare Typer app costs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from audit.config import Loaded

BAD_INPUT, INTERNAL, INTERRUPTED = 2, 4, 130

app = typer.Typer(
    name="xaudit",
    help="Slice-based fairness and audit reports for machine-learning models, from a prediction log to a "
    "filing.",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Option("--out", help="Folder for the report; new, empty, or an older report.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]


def _version(wanted: bool) -> None:
    if wanted:
        from audit import __version__

        typer.echo(f"xaudit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Slice-based fairness and audit reports for machine-learning models."""


@app.command("run")
def run_command(
    out: Out,
    config: Annotated[Path | None, typer.Argument(help="audit.toml; left out: the options below.")] = None,
    log: Annotated[str | None, typer.Option(help="The prediction log: a file, a folder or a glob.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the true class.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the predicted class.")] = None,
    score: Annotated[
        str | None, typer.Option(help="Column of the score; needs --threshold and --tie.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Score from which a case is positive.")] = None,
    tie: Annotated[str | None, typer.Option(help="'>=' or '>': what happens on the threshold.")] = None,
    positive: Annotated[str | None, typer.Option(help="The positive class of a binary log.")] = None,
    klass: Annotated[
        str | None, typer.Option("--class", help="Multi-label: the column that names the row's class.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="Column of the patient, video or visit.")] = None,
    weight: Annotated[str | None, typer.Option(help="Column of the sampling weight.")] = None,
    id: Annotated[str | None, typer.Option(help="Column of the row's or image's own name.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Prediction column of the model to compare with.")
    ] = None,
    missing: Annotated[list[str] | None, typer.Option(help="A written value that counts as missing.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="NAME:KIND[:CUT,CUT], e.g. age:demographic:18,40,65.")
    ] = None,
    intersections: Annotated[int | None, typer.Option(help="1: none; 2: all pairs; 3: all triples.")] = None,
    minimum: Annotated[int | None, typer.Option(help="Smallest slice that is computed.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Confidence of the intervals.")] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap draws.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    format: Annotated[list[str] | None, typer.Option(help="A form of the report: html, pdf, ...")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    model_version: Annotated[str | None, typer.Option(help="The model's version.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What the model is for.")] = None,
    quiet: Quiet = False,
) -> None:
    """Audit a model: from a prediction log to evidence and report."""
    from audit.config import load
    from audit.errors import InputError
    from audit.from_flags import Flags, load_flags

    flags = Flags(
        log=log,
        label=label,
        prediction=prediction,
        score=score,
        threshold=threshold,
        tie=tie,
        positive=positive,
        klass=klass,
        cluster=cluster,
        weight=weight,
        id=id,
        baseline=baseline,
        missing=missing or (),
        attributes=attribute or (),
        intersections=intersections,
        minimum=minimum,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        formats=format or (),
        name=name,
        version=model_version,
        purpose=purpose,
    )
    if config is not None and flags.given():
        raise InputError(
            f"Both '{config}' and {flags.given()[0]} are given: a run is described by one or the other."
        )
    _run(load(config) if config is not None else load_flags(flags), out, quiet=quiet)


def _run(loaded: Loaded, out: Path, *, quiet: bool) -> NoReturn:
    from audit.policy import EXIT_CODES
    from audit.progress import shown
    from audit.run import run
    from audit.summary import summarise

    with shown(quiet=quiet) as progress:
        evidence = run(loaded, out=out, progress=progress)
    try:
        typer.echo(summarise(evidence))
    except BrokenPipeError:  # nobody reads the summary; the verdict stands in the report and the exit code
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(EXIT_CODES[evidence.verdict.outcome])


@app.command("demo")
def demo_command(out: Out = Path("demo"), quiet: Quiet = False) -> None:
    """Run the built-in example: a small network that leans on a scanner's mark."""
    from audit.demo import run_demo
    from audit.policy import EXIT_CODES
    from audit.progress import shown
    from audit.summary import summarise

    with shown(quiet=quiet) as progress:
        evidence = run_demo(out, progress=progress)
    typer.echo(summarise(evidence))
    typer.echo(f"\n`xaudit run` would have returned exit code {EXIT_CODES[evidence.verdict.outcome]}.")
    for name in ("report.pdf", "report.html"):
        if (out / name).exists():
            typer.echo(f"Read {out / name}")


@app.command("init")
def init_command(
    log: Annotated[str, typer.Argument(help="The prediction log: a file, a folder or a glob.")],
    out: Annotated[Path, typer.Option("--out", help="The configuration to write.")] = Path("audit.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite it where it exists.")] = False,
) -> None:
    """Write a commented audit.toml from what the log holds."""
    from audit.init import write_configuration

    for line in write_configuration(log, out, force=force):
        typer.echo(line)


@app.command("check")
def check_command(
    config: Annotated[Path, typer.Argument(help="audit.toml")],
    quiet: Quiet = False,
) -> None:
    """Say what a run would do: rows, slices, the smallest gap that the log can show, what is missing."""
    from audit.check import check
    from audit.config import load
    from audit.progress import shown

    with shown(quiet=quiet) as progress:
        text = check(load(config), progress=progress)
    typer.echo(text)


@app.command("lock")
def lock_command(
    config: Annotated[Path, typer.Argument(help="audit.toml with a [policy]")],
    by: Annotated[str, typer.Option("--by", help="The person who stands for the policy.")],
    day: Annotated[str, typer.Option("--date", help="The day, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option("--out", help="The lock to write.")] = Path("policy.lock.json"),
) -> None:
    """Fix the release policy, with a name and a date, before the log is there."""
    from audit.config import load
    from audit.lock import write_lock

    lock = write_lock(load(config), out, by=by, day=day)
    typer.echo(f"Wrote {out}: policy {lock.policy}, {lock.date}, {lock.signed_by}.")
    if lock.log == "seen":
        typer.echo(
            "The log is there already: a report on it will not say that the policy was fixed before it."
        )
    typer.echo(f'Name it in {config}, under [policy], by its path from there: lock = "{out.name}"')


@app.command("report")
def report_command(
    evidence: Annotated[Path, typer.Argument(help="evidence.json")],
    out: Out,
    format: Annotated[
        list[str] | None, typer.Option(help="A form of the report; left out: those the evidence names.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="en, or a translated catalogue; left out: as the evidence has it.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Render an evidence document again."""
    from audit.language import read_catalogue
    from audit.output import staged, write_documents
    from audit.progress import shown
    from audit.run import documents
    from reports.evidence import read_evidence

    read = read_evidence(evidence)
    words = None if language is None else read_catalogue(language, Path())
    with shown(quiet=quiet) as progress, staged(out) as folder:
        write_documents(folder, documents(read, formats=format, catalogue=words, progress=progress))
    typer.echo(f"Wrote {out}")


@app.command("schema")
def schema_command(
    document: Annotated[str, typer.Argument(help="config, evidence or wording")],
) -> None:
    """Print a JSON Schema, or the report's texts to translate."""
    import json

    from audit.errors import InputError

    if document == "wording":
        from reports.strings import source

        typer.echo(source().rstrip())
        return
    if document == "config":
        from audit.config import json_schema
    elif document == "evidence":
        from reports.evidence import json_schema
    else:
        raise InputError(f"There is no schema of '{document}'; there are: config, evidence, wording.")
    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True, ensure_ascii=False))


@app.command("layers")
def layers_command(config: Annotated[Path, typer.Argument(help="audit.toml with a [model]")]) -> None:
    """List the layers of the model, with shapes, and advise which to test."""
    from audit.config import load
    from audit.layers import layers

    typer.echo(layers(load(config)))


@app.command("verify")
def verify_command(folder: Annotated[Path, typer.Argument(help="A report folder.")]) -> None:
    """Check that a report folder is as it was written: every file against its SHA-256."""
    from audit.errors import InputError
    from audit.output import verify
    from reports.evidence import read_evidence

    problems = verify(folder)
    if problems:
        raise InputError(f"'{folder}' is not as it was written: {'; '.join(problems)}.")
    read_evidence(folder / "evidence.json")
    typer.echo(f"{folder}: every file is as it was written.")


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code: 0, 1, 2 (bad input), 3, 4 (internal), 130."""
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: list[str]) -> int:
    """Run the command line; returns the exit code. Bad input is one line, the last on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A pipeline's C locale must not turn a name in the log into a crash.
            stream.reconfigure(errors="backslashreplace")
    try:
        from audit.epoch import check_epoch

        check_epoch()
        result = app(args=arguments, prog_name="xaudit", standalone_mode=False)
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # Nobody reads on, as behind `| head`; but a run that stops for it has decided nothing.
        return INTERNAL if arguments[:1] == ["run"] else 0
    except SystemExit as error:
        # Ours end with typer.Exit: somebody's code ended the process, and 0 would read as a pass.
        return _told(f"internal error: something called sys.exit({error.code!r}) within the run", INTERNAL)
    except Exception as error:
        return _failed(error)
    if result == INTERRUPTED:  # typer turns Ctrl-C within a command into this, without a word
        return _interrupted()
    return result if isinstance(result, int) else 0


def _interrupted() -> int:
    return _told("interrupted; nothing was written", INTERRUPTED)


def _failed(error: Exception) -> int:
    """The exit code of an error, told in one line."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, typer.Abort):
        return _interrupted()
    usage = getattr(error, "format_message", None)
    if usage is not None:  # typer's own usage errors, whichever click they come from
        return _told(f"{_one_line(str(usage())).rstrip('.')}. Type `xaudit --help`.", BAD_INPUT)
    if isinstance(error, _bad_input()):
        return _told(_one_line(str(error)), BAD_INPUT)
    if os.environ.get("XAUDIT_DEBUG"):
        import traceback

        traceback.print_exc()
    kind = type(error).__name__
    return _told(
        f"internal error ({kind}: {_one_line(str(error))[:300]}). Set XAUDIT_DEBUG=1 for the traceback and "
        f"report it.",
        INTERNAL,
    )


def _bad_input() -> tuple[type[Exception], ...]:
    from audit.errors import InputError
    from concepts.errors import ConceptError, ModelError
    from reports.errors import EvidenceError, RenderError
    from slices.errors import LogError

    return (InputError, LogError, ConceptError, ModelError, EvidenceError, RenderError)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _told(message: str, code: int) -> int:
    print(f"xaudit: error: {message}", file=sys.stderr)
    return code
