"""Positions of elements and attributes in an XML document, byte for byte.

Documents are other people's: one with a document type, which alone can make entities that grow, is refused, as by
defusedxml, whose parsers do not tell where things stand.
"""

import codecs
import dataclasses
import re
from collections.abc import Iterable
from xml.parsers import expat

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SEPARATOR = " "
"""Between the namespace and the name of what has one: `http://ns.adobe.com/xap/1.0/ Rating`."""
MAX_BYTES = 1 << 24
"""A document of more is refused."""
MAX_ELEMENTS = 100_000
"""As MAX_BYTES: each takes some hundred bytes of memory. Sidecars with long histories of edits have some thousand."""
ENCODINGS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""Encodings by the mark that a document begins with. Without one it is UTF-8."""
ATTRIBUTE = re.compile(rb"""(\s+)([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
START_TAG = re.compile(rb"""<([^\s/>]+)((?:\s+[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*/?>""")
END_TAG = re.compile(rb"</[^>]*>")


class Refused(Exception):
    """A file is left as it is; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute or, where `name` is empty, the declaration of a namespace."""

    name: str
    """With its namespace."""
    value: str
    start: int
    """Start of the white space before it."""
    value_start: int
    """Start of its value, after the quote."""
    value_end: int
    end: int


@dataclasses.dataclass(slots=True)
class Element:
    """An element and what is in it; places are bytes from the beginning of the document."""

    name: str
    """With its namespace."""
    tag: bytes
    """As it is written, with its prefix."""
    attributes: list[Attribute]
    start: int
    content_start: int
    content_end: int = 0
    """As `content_start` where the element is written as one tag, `<a/>`."""
    end: int = 0
    text: str = ""
    """Directly in it."""
    children: "list[Element]" = dataclasses.field(default_factory=list)

    def named(self, name: str) -> "list[Element]":
        """Returns the elements directly in it that have a name."""
        return [child for child in self.children if child.name == name]


@dataclasses.dataclass(frozen=True)
class Document:
    """A document in UTF-8, and how to get back what it was read from."""

    body: bytes
    """The document in UTF-8, without the mark that a document may begin with."""
    root: Element
    mark: bytes
    """At the beginning of the file."""
    encoding: str
    """Encoding of the file."""
    tail: bytes
    """NUL bytes after the document."""

    def edit(self, edits: Iterable[tuple[int, int, bytes]]) -> bytes:
        """Returns the file with some bytes of the body replaced, all others as they were.

        Args:
            edits: first byte, the one after the last, and what stands there then; none overlaps another.
        """
        body, pieces, position = self.body, list[bytes](), 0
        for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
            assert position <= start <= end
            pieces += [body[position:start], new]
            position = end
        edited = b"".join([*pieces, body[position:]])
        return self.mark + edited.decode().encode(self.encoding) + self.tail


def name(namespace: str, local: str) -> str:
    """Returns how `Element` and `Attribute` write a name."""
    return f"{namespace}{SEPARATOR}{local}"


def read(data: bytes) -> Document:
    """Reads a document.

    Raises:
        Refused: it is no XML, or none that is safe to read and to change.
    """
    if len(data) > MAX_BYTES:
        raise Refused(f"it has more than {MAX_BYTES >> 20} MB")
    mark = next((mark for mark in ENCODINGS if data.startswith(mark)), b"")
    encoding = ENCODINGS.get(mark, "utf-8")
    rest = data[len(mark) :]
    content = rest.rstrip(b"\0") if encoding == "utf-8" else rest
    try:
        body = content.decode(encoding).encode()
    except UnicodeError as error:
        raise Refused("it is not in UTF-8 or UTF-16") from error
    root = _Reader(body, is_marked=bool(mark)).read()
    return Document(body, root, mark, encoding, rest[len(content) :])


class _Reader:
    def __init__(self, body: bytes, *, is_marked: bool) -> None:
        self._body, self._is_marked = body, is_marked
        self._open: list[Element] = []
        self._root: Element | None = None
        self._count = 0
        self._parser = expat.ParserCreate("utf-8", SEPARATOR)
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.XmlDeclHandler = self._declare
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add_text

    def read(self) -> Element:
        try:
            self._parser.Parse(self._body, True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            raise Refused(f"it is not XML: {reason}, line {error.lineno}") from error
        assert self._root is not None
        return self._root

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and not self._is_marked and encoding.lower() not in ("utf-8", "utf8"):
            raise Refused(f"its encoding is {encoding}; only UTF-8 and UTF-16 are changed")

    def _refuse_doctype(self, *_: object) -> None:
        raise Refused("it has a document type, which XMP never has")

    def _start(self, name: str, attributes: list[str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise Refused(f"it has more than {MAX_ELEMENTS:,} elements")
        start = self._parser.CurrentByteIndex
        match = START_TAG.match(self._body, start)
        assert match is not None
        values = iter(zip(attributes[::2], attributes[1::2], strict=True))
        listed: list[Attribute] = []
        for each in ATTRIBUTE.finditer(self._body, match.start(2), match.end(2)):
            is_namespace = each[2] == b"xmlns" or each[2].startswith(b"xmlns:")
            its_name, value = ("", each[3][1:-1].decode()) if is_namespace else next(values)
            listed.append(Attribute(its_name, value, each.start(), each.start(3) + 1, each.end(3) - 1, each.end()))
        element = Element(name, match[1], listed, start, match.end(), match.end(), match.end())
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        element = self._open.pop()
        if self._body[element.content_start - 2 : element.content_start] != b"/>":
            match = END_TAG.match(self._body, self._parser.CurrentByteIndex)
            assert match is not None
            element.content_end, element.end = match.span()

    def _add_text(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text
