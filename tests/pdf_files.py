"""PDF files, made by hand so that they can also be hostile."""

from __future__ import annotations

import zlib


def pdf(*pages: bytes, compressed: int = 1, kids: bytes = b"") -> bytes:
    """A PDF whose pages have these drawing operators; ``kids`` replaces the list of the pages."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    numbers = []
    for page in pages:
        stream = page
        for _ in range(compressed):
            stream = zlib.compress(stream)
        filters = b"[" + b"/FlateDecode " * compressed + b"]"
        objects.append(b"<< /Length %d /Filter %s >>\nstream\n%s\nendstream" % (len(stream), filters, stream))
        resources = b"<< /Font << /F1 3 0 R >> >>"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources %s >>"
            % (len(objects), resources)
        )
        numbers.append(len(objects))
    kids = kids or b" ".join(b"%d 0 R" % number for number in numbers)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages))
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return (
        out
        + head
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    )


def words_of_page(text: str) -> bytes:
    """The drawing operators of a page with this line."""
    return b"BT /F1 24 Tf 100 700 Td (%s) Tj ET" % text.encode()
