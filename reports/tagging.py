"""Tagging: mends the structure tree that WeasyPrint makes of the HTML, where PDF/UA asks for more.

Works on the pydyf objects before they are written; lays out nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SVG = "{http://www.w3.org/2000/svg}"
ROW_GROUPS = ("/THead", "/TBody", "/TFoot")


def unnamed_figures(root: Any) -> list[str]:
    """``<svg>`` elements of an HTML tree that have neither a ``<title>`` nor ``aria-hidden="true"``.

    WeasyPrint passes over them in silence; in the PDF they would be figures without a text.
    """
    return [
        svg.get("class") or svg.get("id") or "svg"
        for svg in root.iter(f"{SVG}svg")
        if svg.get("aria-hidden") != "true" and not (svg.findtext(f"{SVG}title") or "").strip()
    ]


def link_texts(root: Any) -> dict[str, str]:
    """What the links of an HTML tree say, by the anchor that they lead to; the first of several counts."""
    texts: dict[str, str] = {}
    for link in root.iter("a"):
        target = (link.get("href") or "").removeprefix("#")
        text = " ".join("".join(link.itertext()).split())
        if target and text:
            texts.setdefault(target, text)
    return texts


def mend(pdf: Any, texts: Mapping[str, str]) -> None:
    """All of it: decorations out of the tree, lists and tables as PDF has them, headers by name, links.

    ``texts``: what the link to each anchor says.
    """
    import pydyf

    elements = [
        each
        for each in pdf.objects
        if isinstance(each, pydyf.Dictionary) and each.get("Type") == "/StructElem"
    ]
    tree = Tree(pdf, elements)
    tree.hide_decorations()
    tree.flatten_lists()
    tree.drop_empty_row_groups()
    tree.describe_links(texts)
    index_headers(pdf, elements)


class Tree:
    """The structure elements of a document, by reference."""

    def __init__(self, pdf: Any, elements: list[Any]) -> None:
        self.pdf = pdf
        self.elements = elements
        self.by_reference = {element.reference: element for element in elements}

    def children(self, element: Any) -> Iterator[Any]:
        """Structure elements directly below; marked content is no element."""
        for kid in element["K"]:
            child = self.by_reference.get(kid) if isinstance(kid, bytes) else None
            if child is not None:
                yield child

    def hide_decorations(self) -> None:
        """Turn figures without a text into artifacts: `unnamed_figures` has seen that they mean nothing.

        ISO 14289-1, 7.1 and 7.3: what is not real content is an artifact, and each Figure has a text.
        """
        for element in self.elements:
            if element["S"] == "/Figure" and "Alt" not in element:
                for marker in element["K"]:
                    self.make_artifact(element["Pg"], marker)
                self.remove(element)

    def make_artifact(self, page: bytes, marker: int) -> None:
        """Rewrite ``/Figure <</MCID n>> BDC`` of a page as ``/Artifact BMC`` and free its number."""
        content = self.pdf.objects[number(self.pdf.objects[number(page)]["Contents"])]
        for place, item in enumerate(content.stream):
            if item == "/Figure" and content.stream[place + 1].get("MCID") == marker:
                content.stream[place : place + 3] = ["/Artifact", b"BMC"]
                break
        root = self.pdf.objects[number(self.pdf.catalog["StructTreeRoot"])]
        entries = self.pdf.objects[number(root["ParentTree"])]["Nums"]
        on_page = self.pdf.objects[number(page)]["StructParents"]
        entries[2 * on_page + 1][marker] = "null"

    def describe_links(self, texts: Mapping[str, str]) -> None:
        """Say where each link leads, and tag whatever holds one as a Link.

        ISO 14289-1, 7.18.5: a link annotation lies in a Link element and has a text. WeasyPrint gives
        parts within ``<a>`` annotations of their own, and writes the bare name of the anchor.
        """
        for element in self.elements:
            for kid in element["K"]:
                held = self.pdf.objects[number(kid)] if isinstance(kid, bytes) else None
                if held is None or held.get("Type") != "/OBJR":
                    continue
                annotation = self.pdf.objects[number(held["Obj"])]
                if annotation.get("Subtype") != "/Link":
                    continue
                element["S"] = "/Link"
                if "Dest" in annotation:
                    target = annotation["Dest"].string
                    annotation["Contents"] = type(annotation["Dest"])(texts.get(target, target))

    def remove(self, element: Any) -> None:
        parent = self.by_reference[element["P"]]
        parent["K"].remove(element.reference)

    def flatten_lists(self) -> None:
        """Lift items out of the ``<div>`` that HTML allows between ``<dl>`` and ``<dt>``.

        ISO 14289-1, 7.6: an L holds only items, lists and a caption.
        """
        for element in self.elements:
            if element["S"] == "/L":
                while any(child["S"] in ("/Div", "/NonStruct") for child in self.children(element)):
                    for child in list(self.children(element)):
                        if child["S"] in ("/Div", "/NonStruct"):
                            self.dissolve(child)

    def dissolve(self, element: Any) -> None:
        """Put an element's children in its place."""
        parent = self.by_reference[element["P"]]
        for child in self.children(element):
            child["P"] = parent.reference
        place = parent["K"].index(element.reference)
        parent["K"][place : place + 1] = element["K"]

    def drop_empty_row_groups(self) -> None:
        """Take out row groups without rows, and tables that are left with nothing.

        Children stand after their parents in the list, so one backward pass empties from within. A table
        that is left with its head alone has that as its body: PDF/UA knows no head without a body.
        """
        for element in reversed(self.elements):
            if element["S"] in (*ROW_GROUPS, "/Table") and not element["K"]:
                self.remove(element)
            elif element["S"] == "/Table":
                groups = [child for child in self.children(element) if child["S"] in ROW_GROUPS]
                if groups and all(group["S"] == "/THead" for group in groups):
                    groups[0]["S"] = "/TBody"


def index_headers(pdf: Any, elements: list[Any]) -> None:
    """Name tree of the elements that have an ID: cells name their headers by it (ISO 32000-1, 14.7.2)."""
    import pydyf

    marked = {element["ID"].data: element.reference for element in elements if "ID" in element}
    if not marked:
        return
    keys = sorted(marked)
    leaf = pydyf.Dictionary(
        {
            "Limits": pydyf.Array([keys[0], keys[-1]]),
            "Names": pydyf.Array([part for key in keys for part in (key, marked[key])]),
        }
    )
    pdf.add_object(leaf)
    tree = pydyf.Dictionary({"Kids": pydyf.Array([leaf.reference])})
    pdf.add_object(tree)
    pdf.objects[number(pdf.catalog["StructTreeRoot"])]["IDTree"] = tree.reference


def number(reference: bytes) -> int:
    """Object number of ``b"12 0 R"``."""
    return int(reference.split()[0])
