"""Writing reports: the page, the JSON, and the short JSON that commands print."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penjing.core import Report, Subject
from penjing.errors import OutputError
from penjing.report.build import known
from penjing.report.elsewhere import KEY
from penjing.report.headline import headline
from penjing.report.items import FILE, item_lines
from penjing.report.store import plain, to_json


def save(report: Report, folder: str | Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html` into `folder`, each whole or not at all; their paths.

    Items of figures go to `items.jsonl` beside them; one of an earlier report in the folder does not stay.

    Raises:
        DataError: the report holds something that is not plain data.
        OutputError: the folder cannot be written to.
    """
    place = Path(folder)
    text = json.dumps(to_json(report), ensure_ascii=False, allow_nan=False, indent=1)
    _save_items(report, place / FILE)
    _save_picture(report, place)
    return write_text(place / "report.json", text + "\n"), save_page(report, place / "report.html")


def save_page(report: Report, path: str | Path) -> Path:
    """Write the page to `path`, whole or not at all; the path.

    Raises:
        DataError: the report holds something that is not plain data.
        OutputError: the file cannot be written.
    """
    from penjing.report.page import page

    return write_text(check_page(path), page(report))


def save_card(
    report: Report,
    folder: str | Path,
    *,
    model_id: str | None = None,
    base: str | None = None,
    licence: str | None = None,
    tags: tuple[str, ...] = (),
    source: Mapping[str, Any] | None = None,
) -> Path:
    """Write the model card as `README.md` into `folder`, whole or not at all; its path.

    Raises:
        OutputError: the folder cannot be written to.
    """
    from penjing.report.card import card

    text = card(report, model_id=model_id, base=base, licence=licence, tags=tags, source=source)
    return write_text(Path(folder) / "README.md", text)


def check_page(path: str | Path) -> Path:
    """The path of a page, if one can be written there: asked before anything is measured.

    Raises:
        OutputError: it is a folder, lies under a file, or may not be written.
    """
    place = Path(path)
    if place.is_dir():
        raise OutputError(f"{place} is a folder; needed a file; name one, such as {place / 'report.html'}")
    above = next(p for p in [*place.absolute().parents] if p.exists())
    if not above.is_dir():
        raise OutputError(f"{above} is a file; {place} needs a folder there; choose another place")
    if not os.access(above, os.W_OK) or (place.exists() and not os.access(place, os.W_OK)):
        raise OutputError(f"{place} may not be written; choose a place that can be written to")
    return place


def figures_json(report: Report) -> dict[str, Any]:
    """The figures of the result (the second model, or the only one) by name, then `models` and the whole `report`.

    A figure without a value is null; why is told in `report`.
    """
    result = report.subjects[:2][-1:]
    return {
        **(_values(result[0]) if result else {}),
        "headline": headline(report),
        "models": [{"name": s.name, "source": s.source, **_values(s)} for s in report.subjects],
        **({KEY: plain(report.provenance[KEY], KEY)} if KEY in report.provenance else {}),
        "report": to_json(report),
    }


def _values(subject: Subject) -> dict[str, float | None]:
    found = {f.name: known(f) for f in subject.figures}
    return {name: value if value is None or abs(value) != float("inf") else None for name, value in found.items()}


def _save_picture(report: Report, folder: Path) -> None:
    """The picture for links, where it can be drawn."""
    from penjing.report.social import PICTURE, picture_png

    if (found := picture_png(report)) is not None:
        write_text(folder / PICTURE, found)


def _save_items(report: Report, path: Path) -> None:
    if any(f.items for s in report.subjects for f in s.figures):
        write_text(path, item_lines(report))
    elif path.exists():
        # They would be taken for those of the report that is now beside them.
        path.unlink()


def write_text(path: Path, text: str | bytes | Iterable[str]) -> Path:
    """Write a file whole or not at all; its path.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            part.write_bytes(text)
        else:
            with part.open("w", encoding="utf-8") as file:
                file.writelines([text] if isinstance(text, str) else text)
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose a place that can be written to"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path
