"""The PDF on its own: both profiles in one file, the same bytes everywhere, a negative control a check."""

from __future__ import annotations

import builtins
import hashlib
import io
import logging
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pikepdf
import pytest

from reports.errors import RenderError
from reports.pdf import write_pdf
from tests.reports import conformance as check

EVIDENCE = b'{"a": 1}\n'
STYLE = """
@page { size: A4; margin: 2cm; @bottom-center { content: "Page " counter(page) " of " counter(pages) } }
body { font-family: "Xaudit Sans"; font-size: 9pt }
"""
FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="40"><title>A figure</title>'
    '<rect width="50" height="20" fill="#0b6"/><text x="2" y="15" font-family="Xaudit Sans" font-size="10">'
    "0.85 ≥ 0.80</text></svg>"
)


# WeasyPrint leaves its colour profile open when it is called bare, as the negative controls do.
unclosed = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def document(body: str, *, style: str = STYLE) -> str:
    head = f"<title>x</title><style>{style}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def table(rows: int) -> str:
    head = '<thead><tr><th scope="col">Group</th><th scope="col">Cases</th></tr></thead>'
    body = "".join(f'<tr><th scope="row">g{i}</th><td>{i}</td></tr>' for i in range(rows))
    return f"<table><caption>Groups</caption>{head}<tbody>{body}</tbody></table>"


WHOLE = document(
    f'<h1>Title ✓</h1><p>Text <strong>bold</strong>, <a href="#t">a link</a>, 中文 and \u202eעברית.</p>'
    f'<h2 id="t">Table</h2>{table(120)}<h2>Figure</h2>{FIGURE}<ul><li>one</li><li>two</li></ul>'
)


def made(html: str = WHOLE, **changes: object) -> bytes:
    options: dict[str, object] = {
        "title": "A report",
        "language": "en",
        "attachments": {"evidence.json": EVIDENCE},
    }
    return write_pdf(html, **{**options, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pdf() -> bytes:
    return made(date="2026-11-20", author="St Elsewhere & Co", keywords=["audit", "slices"])


@pytest.fixture(scope="module")
def file(pdf: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    path.write_bytes(pdf)
    return path


@pytest.mark.parametrize("profile", ["3a", "ua1"])
def test_follows_both_profiles(pdf: bytes, profile: str) -> None:
    assert check.profile_failures(pdf, profile) == []


@unclosed
def test_negative_control_profiles() -> None:
    """WeasyPrint's own variants: each passes its own profile at most, never both."""
    import weasyprint

    html = weasyprint.HTML(string=WHOLE.replace("中文", "").replace("\u202eעברית", ""))
    archived = html.write_pdf(pdf_variant="pdf/a-3a")
    accessible = html.write_pdf(pdf_variant="pdf/ua-1")
    assert any("ID" in line for line in check.profile_failures(archived, "ua1"))
    assert check.profile_failures(accessible, "3a")


def test_qpdf_finds_no_fault(file: Path) -> None:
    assert check.qpdf_problems(file) == []


def test_negative_control_qpdf(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(file.read_bytes()[:-400])
    assert check.qpdf_problems(broken)


def test_only_vendored_fonts_all_embedded(file: Path) -> None:
    assert check.font_problems(file) == []
    assert len(check.fonts(file)) == 2  # regular and bold


@unclosed
def test_negative_control_fonts(tmp_path: Path) -> None:
    """Without the isolation, a page in another font takes it from the system: the check must see that."""
    import weasyprint

    path = tmp_path / "system.pdf"
    path.write_bytes(weasyprint.HTML(string='<p style="font-family: serif">x</p>').write_pdf())
    assert check.font_problems(path)


def test_a_system_font_that_is_asked_for_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "asked.pdf"
    path.write_bytes(made(document("<h1>x</h1>", style='body { font-family: "DejaVu Sans", serif }')))
    assert check.font_problems(path) == []


def test_is_tagged(file: Path) -> None:
    assert check.structure_problems(file) == []


def test_negative_control_structure(tmp_path: Path) -> None:
    path = tmp_path / "poor.pdf"
    path.write_bytes(made(document("<h2>Second</h2><p>Text</p>")))
    problems = check.structure_problems(path)
    assert "no Table" in problems
    assert "the first heading is H2" in problems


def test_evidence_is_attached_as_source(file: Path, tmp_path: Path) -> None:
    assert check.attachments(file, tmp_path / "out") == {"evidence.json": EVIDENCE}
    with pikepdf.open(file) as opened:
        (specification,) = opened.Root.AF
        assert specification.AFRelationship == "/Source"
        assert str(specification.EF.F.Params.ModDate) == "D:20261120000000Z"
        assert bytes(specification.EF.F.Params.CheckSum) == hashlib.md5(EVIDENCE).digest()


def test_negative_control_attachment(tmp_path: Path) -> None:
    path = tmp_path / "none.pdf"
    path.write_bytes(made(attachments={}))
    assert check.attachments(path, tmp_path / "none") == {}


def test_bookmarks_title_language_and_dates(file: Path) -> None:
    with pikepdf.open(file) as opened:
        with opened.open_outline() as outline:
            titles = [item.title for item in outline.root] + [i.title for i in outline.root[0].children]
        assert titles == ["Title ✓", "Table", "Figure"]
        assert str(opened.Root.Lang) == "en"
        assert opened.Root.ViewerPreferences.DisplayDocTitle
        assert str(opened.docinfo["/Title"]) == "A report"
        assert str(opened.docinfo["/Author"]) == "St Elsewhere & Co"
        with opened.open_metadata() as metadata:
            assert metadata["pdfaid:part"] == "3"
            assert metadata["pdfaid:conformance"] == "A"
            assert metadata["{http://www.aiim.org/pdfua/ns/id/}part"] == "1"
            assert metadata["xmp:CreateDate"] == "2026-11-20T00:00:00Z"


def test_metadata_stream_is_plain_text_and_one_packet(pdf: bytes) -> None:
    assert pdf.count(b"<?xpacket begin") == 1
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf


def test_without_a_date_nothing_tells_the_time() -> None:
    data = made()
    with pikepdf.open(io.BytesIO(data)) as opened:
        assert "/CreationDate" not in opened.docinfo
        assert str(opened.Root.AF[0].EF.F.Params.ModDate) == "D:19800101000000Z"
    assert check.profile_failures(data, "3a") == []


def test_header_cells_are_in_the_name_tree(file: Path) -> None:
    with pikepdf.open(file) as opened:
        names = pikepdf.NameTree(opened.Root.StructTreeRoot.IDTree)
        cells = [
            cell
            for cell in opened.objects
            if isinstance(cell, pikepdf.Dictionary) and cell.get("/S") == "/TD" and "/A" in cell
        ]
        wanted = {str(name) for cell in cells for name in cell.A.Headers}
        assert len(wanted) > 100
        assert wanted <= set(names.keys())


def test_no_stream_ends_in_a_line_break(pdf: bytes) -> None:
    ends = [match.start() for match in re.finditer(rb"\nendstream", pdf)]
    assert len(ends) > 5
    assert all(pdf[end - 1 : end] not in (b"\r", b"\n") for end in ends)


@pytest.mark.parametrize("ending", [b"\r", b"\n"])
def test_padding_is_exercised(ending: bytes) -> None:
    """An attachment whose compressed form ends in CR or LF: padded, and taken out unchanged."""
    content = next(
        text for text in (b"x" * n + b"\n" for n in range(5000)) if zlib.compress(text, 9).endswith(ending)
    )
    data = made(document("<h1>x</h1>"), attachments={"evidence.json": content})
    with pikepdf.open(io.BytesIO(data)) as opened:
        stream = opened.attachments["evidence.json"].get_file()
        assert stream.read_bytes() == content
    compressed = zlib.compress(content, 9)
    assert compressed + b"\0\nendstream" in data
    for profile in ("3a", "ua1"):
        assert check.profile_failures(data, profile) == []


def test_same_bytes_in_other_processes_time_zones_and_hash_seeds(pdf: bytes) -> None:
    code = (
        "import hashlib, sys; from tests.reports.test_pdf import made; "
        "data = made(date='2026-11-20', author='St Elsewhere & Co', keywords=['audit', 'slices']); "
        "print(hashlib.sha256(data).hexdigest())"
    )
    for zone, seed in (("Asia/Tokyo", "1"), ("America/Los_Angeles", "2")):
        environment = {
            **os.environ,
            "TZ": zone,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.getcwd(),
            "LC_ALL": "C",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == hashlib.sha256(pdf).hexdigest()


def test_a_lacking_character_is_printed_as_its_code_point(file: Path) -> None:
    text = check.run("pdftotext", "-layout", file, "-").stdout
    assert "U+4E2D U+6587" in text
    assert "U+202E U+05E2" in text


@pytest.mark.parametrize(
    ("body", "style", "message"),
    [
        ("<p>x</p>", "p { colour: red }", "Ignored `colour"),
        ('<p><a href="#nowhere">x</a></p>', "", "No anchor #nowhere"),
        ('<img src="data:image/png;base64,AAAA" alt="x">', "", "Failed to load image"),
        ('<img src="https://example.org/a.png" alt="x">', "", "outside the package"),
        ('<img src="file:///etc/passwd" alt="x">', "", "outside the package"),
        ("<p>x</p>", '@import url("https://example.org/a.css");', "outside the package"),
        ("<p>x</p>", "@font-face { font-family: A; src: url(https://example.org/a) }", "outside the package"),
        ('<p style="background: url(https://example.org/a.png)">x</p>', "", "outside the package"),
        ('<svg><title>t</title><image href="file:///etc/hostname"/></svg>', "", "cannot set the document"),
        ("<p>&#x4e2d;</p>", "", "no glyph for U+4E2D"),
    ],
)  # fmt: skip
def test_every_warning_and_every_fetch_is_an_error(body: str, style: str, message: str) -> None:
    with pytest.raises(RenderError, match=re.escape(message)) as caught:
        made(document(body, style=style))
    assert "\n" not in str(caught.value)


def test_an_image_without_a_text_is_an_error() -> None:
    dot = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E"
    with pytest.raises(RenderError, match="alt description"):
        made(document(f'<img src="{dot}">'))
    assert made(document(f'<img src="{dot}" alt="A dot">'))


def test_a_drawing_without_a_text_is_an_error() -> None:
    with pytest.raises(
        RenderError, match=r"^A figure has no text \(bar\); give its <svg> a <title>, or aria-hidden"
    ):
        made(document('<svg class="bar" width="9" height="9"><rect width="9" height="9"/></svg>'))


DOT = '<svg aria-hidden="true" width="9" height="9"><rect width="9" height="9"/></svg>'
MENDED = {
    "decoration": f"<p>{DOT} text</p>",
    "two decorations and a figure": f"<p>{DOT} text</p>{FIGURE}<p>{DOT} more</p>",
    "divisions in a list": "<dl><div><dt>a</dt><dd>b</dd></div><div><dt>c</dt><dd>d</dd></div></dl>",
    "table without rows": '<table><thead><tr><th scope="col">a</th></tr></thead><tbody>\n</tbody></table>',
    "empty table": "<table><tbody></tbody></table><p>text</p>",
}


@pytest.mark.parametrize("body", MENDED.values(), ids=MENDED.keys())
def test_structure_is_mended(body: str) -> None:
    data = made(document(f"<h1>x</h1>{body}"))
    for profile in ("3a", "ua1"):
        assert check.profile_failures(data, profile) == []


@pytest.mark.parametrize("body", [*MENDED.values()][:4], ids=[*MENDED][:4])
def test_structure_needs_mending(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without it, each of these fails PDF/UA."""
    monkeypatch.setattr("reports.pdf.mend", lambda pdf, texts: None)
    assert check.profile_failures(made(document(f"<h1>x</h1>{body}")), "ua1")


def test_decorations_are_artifacts_and_figures_stay(tmp_path: Path) -> None:
    path = tmp_path / "mended.pdf"
    path.write_bytes(made(document(f"<h1>x</h1>{MENDED['two decorations and a figure']}")))
    assert check.structure(path).count("Figure") == 1
    with pikepdf.open(path) as opened:
        operators = [
            (str(operator), str(operands[0]) if operands else "")
            for operands, operator in pikepdf.parse_content_stream(opened.pages[0])
        ]
    assert operators.count(("BMC", "/Artifact")) >= 2
    assert operators.count(("BDC", "/Figure")) == 1


def test_a_date_that_is_none_is_an_error() -> None:
    with pytest.raises(
        RenderError, match=r"^Date '20 Nov' of the document is not an ISO 8601 date; write it as 2026"
    ):
        made(date="20 Nov")


def test_a_date_with_a_zone_is_written_in_utc() -> None:
    assert b"2026-11-19T23:00:00Z" in made(document("<h1>x</h1>"), date="2026-11-20T00:00:00+01:00")


def test_a_missing_library_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without_pango(name: str, *rest: object, **more: object) -> object:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0': no such file")
        return load(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_pango)
    with pytest.raises(
        RenderError, match=r"library libpango-1\.0-0.*sudo apt-get install libpango-1\.0-0"
    ) as caught:
        made()
    assert "\n" not in str(caught.value)


def test_the_environment_and_the_loggers_are_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FONTCONFIG_FILE", "mine")
    logger = logging.getLogger("weasyprint")
    before = (os.environ["FONTCONFIG_FILE"], logger.level, logger.propagate, list(logger.handlers))
    made(document("<h1>x</h1>"))
    assert (os.environ["FONTCONFIG_FILE"], logger.level, logger.propagate, list(logger.handlers)) == before


def test_hostile_title_reaches_metadata_whole() -> None:
    data = made(document("<h1>x</h1>"), title='</title>\0<b>"中\x1f&')
    with pikepdf.open(io.BytesIO(data)) as opened:
        assert str(opened.docinfo["/Title"]) == '</title>U+0000<b>"中U+001F&'
        with opened.open_metadata() as metadata:
            assert metadata["dc:title"] == '</title>U+0000<b>"中U+001F&'
    assert check.profile_failures(data, "3a") == []


def test_links_say_where_they_lead_and_lie_in_link_elements() -> None:
    import pikepdf

    body = (
        '<p>See <a href="#there">the <span>other</span> section</a>.</p>'
        '<h1 id="there" style="break-before: page">There</h1>'
    )
    pdf = made(document(body))
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        links = [a for page in opened.pages for a in page.get("/Annots", []) if a.Subtype == "/Link"]
        assert links
        assert {str(link.Contents) for link in links} == {"the other section"}
    assert check.profile_failures(pdf, "ua1") == []
