"""The summary on stdout: the verdict, its counts and the worst slices, as plain text."""

from __future__ import annotations

from reports.evidence import Evidence, Finding

WORDS = {
    "fails": "fails",
    "cannot_tell": "cannot tell",
    "not_enough_data": "not enough data",
    "not_tested": "not tested",
    "meets": "meets",
}
ROWS = 10


def summarise(evidence: Evidence) -> str:
    """The verdict and at most ten findings, worst first, in lines of plain text."""
    verdict = evidence.verdict
    counts = ", ".join(f"{getattr(verdict, key)} {word}" for key, word in WORDS.items())
    lines = [f"{evidence.subject.name} {_stated(evidence.subject.version)}".rstrip(), verdict.sentence]
    if verdict.outcome != "no_rule":
        lines.append(f"Checks: {counts}.")
    lines.append(f"Data: {evidence.data.rows_used:,} of {evidence.data.rows:,} rows used.")
    open_findings = sorted(
        (finding for finding in evidence.findings if finding.outcome != "meets"), key=badness
    )
    if open_findings:
        lines += ["", "Worst first:"]
        lines += _table([_row(finding) for finding in open_findings[:ROWS]])
        if len(open_findings) > ROWS:
            lines.append(f"... and {len(open_findings) - ROWS} more in the report.")
    return "\n".join(lines)


def badness(finding: Finding) -> tuple[int, float, str]:
    """Sorting key: failures first, then by how far the value lies beyond the limit."""
    rank = list(WORDS).index(finding.outcome)
    return rank, -_beyond(finding), f"{finding.rule} {_slice(finding)}"


def _beyond(finding: Finding) -> float:
    if finding.value is None or finding.limit is None:
        return float("-inf")
    if finding.kind in ("floor", "ratio"):
        return finding.limit - finding.value
    if finding.kind in ("gap", "concept"):
        return abs(finding.value) - finding.limit
    return finding.value - finding.limit


def _stated(version: str) -> str:
    return "" if version == "not stated" else version


def _slice(finding: Finding) -> str:
    if finding.concept is not None:
        return f"concept {finding.concept}"
    if not finding.slice:
        return "overall" if finding.value is not None else "-"
    return ", ".join(
        f"{name} = {'(missing)' if value is None else value}" for name, value in finding.slice.items()
    )


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        WORDS[finding.outcome],
        finding.rule,
        _slice(finding) + (f" [{finding.klass}]" if finding.klass else ""),
        finding.metric or finding.kind.replace("_", " "),
        _number(finding.value),
        f"{_number(finding.low)} to {_number(finding.high)}" if finding.low is not None else "-",
        "-" if finding.limit is None else f"limit {finding.limit:g}",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Left-aligned columns; control characters of hostile names are shown, not sent to the terminal."""
    clean = [tuple(_printable(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in clean
    ]


def _printable(text: str) -> str:
    shown = "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)
    return shown if len(shown) <= 60 else shown[:57] + "..."
