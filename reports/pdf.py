"""The PDF: one file that is PDF/A-3a and PDF/UA-1, tagged, with the evidence attached, the same to the byte.

Knows nothing of the evidence: HTML in, bytes out. The only module that imports WeasyPrint.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any
from xml.sax.saxutils import escape

from reports.errors import RenderError
from reports.glyphs import FILES, code_point, printable_markup, truetype
from reports.tagging import link_texts, mend, number, unnamed_figures

NO_DATE = datetime(1980, 1, 1, tzinfo=UTC)  # PDF/A-3 wants a date on attachments; none was configured

# A file that claims PDF/UA must describe that claim's schema itself, since PDF/A does not know it
# (ISO 19005-3, 6.6.2.3.3; ISO 14289-1, clause 5).
UNIVERSAL_ACCESS = b"""\
<rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">
<pdfuaid:part>1</pdfuaid:part></rdf:Description>
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
 xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#">
<pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource">
<pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix>
<pdfaSchema:property><rdf:Seq><rdf:li rdf:parseType="Resource">
<pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category>
<pdfaProperty:description>Part of ISO 14289 that the file follows</pdfaProperty:description>
</rdf:li></rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>
</rdf:RDF>"""

_one_at_a_time = Lock()  # fontconfig is told where to look through the environment of the process


def write_pdf(
    html: str,
    *,
    title: str,
    language: str,
    attachments: Mapping[str, bytes],
    date: str | None = None,
    author: str | None = None,
    keywords: Sequence[str] = (),
) -> bytes:
    """Lay out ``html`` and write it as PDF/A-3a and PDF/UA-1.

    Parameters
    ----------
    html : str
        A whole document. Fonts come from ``reports/fonts`` alone; a character that they lack is
        printed as its code point.
    attachments : mapping
        File name -> bytes; the first is the document's source data, the others supplement it.
    date : str, optional
        ISO 8601 date of document and attachments. Without one the document is undated.

    Raises
    ------
    RenderError
        A system library is missing; a resource outside the package is asked for; or WeasyPrint warns
        of anything at all (an unknown CSS property, a broken link, a figure without a text, ...).
    """
    stamp = _instant(date)
    with _one_at_a_time, _own_fonts(), _strict() as remarks:
        weasyprint = _import_weasyprint()
        try:
            source = weasyprint.HTML(string=printable_markup(html), url_fetcher=_fetcher(weasyprint))
            unnamed = unnamed_figures(source.etree_element)
            if unnamed:
                raise RenderError(
                    f"A figure has no text ({', '.join(unnamed[:3])}); give its <svg> a <title>, "
                    'or aria-hidden="true" where it is a decoration.'
                )
            texts = link_texts(source.etree_element)
            document = source.render(pdf_variant="pdf/a-3a")
        except weasyprint.urls.FatalURLFetchingError as problem:
            raise RenderError(str(problem)) from None
        metadata = document.metadata
        metadata.title, metadata.lang = _plain(title), language
        metadata.authors = [_plain(author)] if author else []
        metadata.description, metadata.generator = None, "xaudit"
        metadata.keywords = [_plain(keyword) for keyword in keywords]
        metadata.created = metadata.modified = stamp.strftime("%Y-%m-%dT%H:%M:%SZ") if date else None
        metadata.attachments = [
            weasyprint.Attachment(
                string=content,
                name=name,
                description="The data that this document was made from" if rank == 0 else name,
                created=stamp,
                modified=stamp,
                relationship="Source" if rank == 0 else "Supplement",
            )
            for rank, (name, content) in enumerate(attachments.items())
        ]
        data: bytes = document.write_pdf(pdf_variant="pdf/a-3a", finisher=partial(_finish, texts=texts))
    _refuse(remarks)
    return data


def _instant(date: str | None) -> datetime:
    if date is None:
        return NO_DATE
    try:
        instant = datetime.fromisoformat(date)
    except ValueError:
        raise RenderError(
            f"Date {date!r} of the document is not an ISO 8601 date; write it as 2026-11-20."
        ) from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _plain(text: str) -> str:
    """Text for XMP: XML 1.0 has no control characters, written or escaped."""
    return "".join(
        code_point(c) if c < " " or 0xD800 <= ord(c) <= 0xDFFF or c in "\ufffe\uffff" else c for c in text
    )


def _import_weasyprint() -> Any:
    try:
        import weasyprint
    except OSError as problem:
        library = str(problem).split("'")[1] if "'" in str(problem) else "Pango"
        raise RenderError(
            f"The PDF needs the system library {library}, which is not installed; "
            "type: sudo apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        ) from None
    return weasyprint


def _fetcher(weasyprint: Any) -> Any:
    """A fetcher that reads ``data:`` URLs, and refuses to read anything else."""

    class Fetcher(weasyprint.urls.URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: dict[str, str] | None = None) -> Any:
            if url.startswith("data:"):
                return super().fetch(url, headers)
            raise weasyprint.urls.FatalURLFetchingError(
                f"The document asks for {url[:200]!r}, outside the package; a report fetches nothing."
            )

    return Fetcher()


@contextmanager
def _own_fonts() -> Iterator[None]:
    """Let fontconfig see the vendored fonts and nothing else, whatever the system has installed."""
    with tempfile.TemporaryDirectory(prefix="xaudit-fonts-") as folder:
        for weight in FILES:
            (Path(folder) / f"{weight}.ttf").write_bytes(truetype(weight))
        configuration = Path(folder) / "fonts.conf"
        configuration.write_text(
            '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig>'
            f"<dir>{escape(folder)}</dir><cachedir>{escape(folder)}/cache</cachedir></fontconfig>",
            encoding="utf-8",
        )
        before = os.environ.get("FONTCONFIG_FILE")
        os.environ["FONTCONFIG_FILE"] = str(configuration)
        try:
            yield
        finally:
            if before is None:
                del os.environ["FONTCONFIG_FILE"]
            else:
                os.environ["FONTCONFIG_FILE"] = before


class _Remarks(logging.Handler):
    """Collects what WeasyPrint and fontTools say at warning level and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def _strict() -> Iterator[_Remarks]:
    """Collect every warning, logged or raised through ``warnings``; nothing reaches the terminal."""
    remarks = _Remarks()
    loggers = [logging.getLogger(name) for name in ("weasyprint", "fontTools")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        for about_code in (ResourceWarning, DeprecationWarning):  # of the library, not of the document
            warnings.simplefilter("ignore", about_code)
        for logger in loggers:
            logger.addHandler(remarks)
            logger.setLevel(logging.WARNING)
            logger.propagate = False
        try:
            yield remarks
        finally:
            remarks.lines += [str(warning.message) for warning in raised]
            for logger, (level, propagate) in zip(loggers, before, strict=True):
                logger.removeHandler(remarks)
                logger.setLevel(level)
                logger.propagate = propagate


def _refuse(remarks: _Remarks) -> None:
    if remarks.lines:
        different = list(dict.fromkeys(remarks.lines))
        also = f" (and {len(different) - 1} more)" if len(different) > 1 else ""
        raise RenderError(f"WeasyPrint cannot set the document as written: {different[0][:300]}{also}")


def _finish(document: Any, pdf: Any, *, texts: Mapping[str, str]) -> None:
    """WeasyPrint's finisher: the second identifier, and what validators ask for beyond it."""
    for font in document.fonts.values():
        if font.missing:
            lacking = ", ".join(code_point(chr(code)) for code in sorted(font.missing))
            raise RenderError(
                f"The vendored font has no glyph for {lacking}; write it plainly, not as a reference."
            )
    if "AF" in pdf.catalog:  # WeasyPrint lists each attachment twice
        pdf.catalog["AF"][:] = dict.fromkeys(pdf.catalog["AF"])
    _claim_universal_access(pdf)
    mend(pdf, texts)
    _pad_streams(pdf)


def _claim_universal_access(pdf: Any) -> None:
    """Add the PDF/UA-1 identifier to the one XMP packet, and leave the packet readable as plain text."""
    packet = pdf.objects[number(pdf.catalog["Metadata"])]
    packet.stream = [b"\n".join(packet.stream).replace(b"</rdf:RDF>", UNIVERSAL_ACCESS)]
    packet.compress = False


def _pad_streams(pdf: Any) -> None:
    """End no stream in CR or LF: a reader takes it for the line end before ``endstream``.

    The length would then be a byte too many (ISO 19005-3, 6.1.7.1). A byte after the end of Flate data
    is not part of the data. The object and cross-reference streams come later, through ``add_object``.
    """
    import pydyf

    class PaddedStream(pydyf.Stream):  # type: ignore[misc]
        @cached_property
        def data(self) -> bytes:
            data: bytes = pydyf.Stream.data.fget(self)
            body = data.removesuffix(b"\nendstream")
            if not body.endswith((b"\r", b"\n")):
                return data
            length = len(body) - body.index(b"stream\n") - len(b"stream\n")
            head = body.replace(b"/Length %d" % length, b"/Length %d" % (length + 1), 1)
            return head + b"\0\nendstream"

    def pad(each: Any) -> None:
        if isinstance(each, pydyf.Stream):
            each.__class__ = PaddedStream

    add = pdf.add_object

    def add_padded(each: Any) -> None:
        pad(each)
        add(each)

    for each in pdf.objects:
        pad(each)
    pdf.add_object = add_padded
