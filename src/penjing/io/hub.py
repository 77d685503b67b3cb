"""Models named by a hub id: found in the hub's cache, or fetched when the hub can be reached."""

import re
from pathlib import Path

from penjing.errors import CheckpointError
from penjing.io.side_files import CARRIED

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
LEFT = ("*/*.safetensors", "*/*.bin", "consolidated*")
ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


def looks_like_id(source: str) -> bool:
    """Whether a text could be the name of a model on the hub: `name` or `owner/name`."""
    return ID.fullmatch(source) is not None


def fetch_model(name: str, revision: str | None) -> Path:
    """The folder with the files of a model of the hub: weights (safetensors if there are any), config, side files.

    Raises:
        CheckpointError: no such model can be had, and why.
    """
    folder = _snapshot(name, revision, (*WEIGHTS, "config.json", *CARRIED))
    if not any(folder.glob("*.safetensors")):
        folder = _snapshot(name, revision, (*PICKLES, "config.json", *CARRIED))
    return folder


def _snapshot(name: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        got = snapshot_download(name, revision=revision, allow_patterns=list(patterns), ignore_patterns=list(LEFT))
    except GatedRepoError as error:
        text = f"the hub has '{name}' behind terms of use; accept them on its page and log in with 'hf auth login'"
        raise CheckpointError(text) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        at = f" at revision '{revision}'" if revision else ""
        text = f"no folder or file of the name '{name}', and the hub has no such model{at}; check the name"
        raise CheckpointError(text) from error
    except (OSError, ValueError, RuntimeError) as error:
        offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else " ".join(str(error).split())[:160]
        tried = f"no folder or file of the name '{name}', nothing usable under it in {constants.HF_HUB_CACHE}"
        text = f"{tried}, and the hub cannot be reached ({offline}); give a folder, or connect"
        raise CheckpointError(text) from error
    return Path(got)
