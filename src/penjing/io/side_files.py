"""The small files that make weights a usable model: tokenizer, generation config, chat template, licence."""

from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.io.shards import inside

if TYPE_CHECKING:
    from penjing.io.checkpoint import OpenCheckpoint

CARRIED = (
    "tokenizer*",
    "*.tiktoken",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "vocab",
    "*-vocab.json",
    "merges.txt",
    "normalizer.json",
    "*.model",
    "spiece.model",
    "generation_config.json",
    "chat_template*",
    "additional_chat_templates/*.jinja",
    "preprocessor_config.json",
    "processor_config.json",
    "image_processor*.json",
    "video_preprocessor_config.json",
    "feature_extractor*.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*_Pooling/config.json",
    "README.md",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "COPYING*",
    "USE_POLICY*",
    "*TERMS*",
)
"""Globs under a model's folder. Code (`*.py`), weights and training leftovers stay behind."""

LARGEST = 200_000_000
"""Bytes: nothing that is larger is a side file."""


def find_side_files(folder: Path) -> tuple[Path, ...]:
    """The side files of a folder, in order of name.

    Raises:
        CheckpointError: one of them is a link that leaves the folder.
    """
    found: dict[str, Path] = {}
    for path in sorted(p for pattern in ("*", "*/*") for p in folder.glob(pattern)):
        name = path.relative_to(folder).as_posix()
        if any(fnmatch(name, glob) and name.count("/") == glob.count("/") for glob in CARRIED):
            safe = inside(folder, name)
            if safe.is_file() and safe.stat().st_size <= LARGEST:
                found[name] = safe
    return tuple(found.values())


def name_in_output(folder: Path, path: Path) -> str:
    """The name of a side file of `folder` in an output: its own, save that the card of the source steps back."""
    name = path.relative_to(folder).as_posix()
    return "SOURCE_README.md" if name == "README.md" else name


def carry_over(checkpoint: "OpenCheckpoint", into: Path) -> dict[str, Path]:
    """Name in the output -> file, for all that goes along with the weights; `into` takes what has to be made first.

    A folder's side files are taken as they are. The tokenizer of a GGUF file is converted and saved to `into`.

    Raises:
        CheckpointError: the tokenizer cannot be converted.
    """
    folder = checkpoint.folder
    if folder is not None:
        return {name_in_output(folder, path): path for path in checkpoint.side_files}
    if checkpoint.kind != "gguf":
        return {}
    return {path.name: path for path in tokenizer_files(checkpoint, into)}


def tokenizer_files(checkpoint: "OpenCheckpoint", into: Path) -> tuple[Path, ...]:
    """The files of the checkpoint's tokenizer, saved by transformers to the folder `into`.

    Raises:
        CheckpointError: there is no tokenizer, or it cannot be built.
    """
    tokenizer = checkpoint.tokenizer()
    into.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(str(into))
    return tuple(sorted(p for p in into.iterdir() if p.is_file() and p.name != "config.json"))
