"""What the card of a model states at its head, read so that the card of what is made from it states it too."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

CARRIED = ("license", "license_name", "license_link", "language", "library_name", "pipeline_tag")
"""The keys that hold for a smaller model as for the model; its tags are added to."""
SOURCE_CARD = "SOURCE_README.md"
"""The card of the source, in the folder of what was made from it."""


def source_card(path: str | Path) -> Mapping[str, Any]:
    """The front matter of a model card; empty where there is none that can be read."""
    from huggingface_hub.repocard import metadata_load
    from yaml import YAMLError

    place = Path(path)
    if not place.is_file():
        return {}
    try:
        found = metadata_load(place)
    except (OSError, ValueError, YAMLError) as error:
        log.warning("the card %s states nothing that can be read (%s)", place.name, str(error).splitlines()[0])
        return {}
    return found or {}


def tags_of(front: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags that a card states."""
    found = front.get("tags") or ()
    return tuple(str(t) for t in ([found] if isinstance(found, str) else found))


def base_of(front: Mapping[str, Any]) -> str | None:
    """The model that a card of penjing says its model was made from."""
    base = front.get("base_model")
    base = base[0] if isinstance(base, list) and base else base
    return base if isinstance(base, str) and "penjing" in tags_of(front) else None
