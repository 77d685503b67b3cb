"""What the `penjing.json` of a folder tells of the modules in the model: the config of a folder has them in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.core.spec import from_record
from penjing.io.results import RECORD
from penjing.io.shards import inside, read_config, read_json


def folder_config(folder: Path) -> dict[str, Any]:
    """The config of the model in a folder, with the modules that stand in for stock ones.

    Raises:
        CheckpointError: config or record cannot be read, lead out of the folder, or were changed by hand.
    """
    return with_modules(read_config(folder), folder)


def with_modules(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A config with the modules that the record in a folder tells of, or else with those that it names itself.

    Raises:
        CheckpointError: the record cannot be read, leads out of the folder, or was changed by hand.
    """
    path = inside(folder, RECORD)
    return from_record(config, read_json(path) if path.is_file() else {}, str(path))
