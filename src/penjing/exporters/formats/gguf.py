"""llama.cpp's file, with the tokenizer in it, for Llama, Mistral, Qwen2 and 3, Gemma 1 to 3 and GPT-2.

Behind a colon stands the type of its numbers, as `gguf:q8_0`. Layers of different widths, and such without attention
or MLP, are opened by llama.cpp too (of Llama, Mistral, Qwen2, and Qwen3 with tied embeddings). The file is run in
llama.cpp beside the model before it bears its name.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from penjing.core.progress import Progress
from penjing.core.spec import specs_of
from penjing.errors import CheckpointError, ExportError, MissingExtraError
from penjing.exporters.exporter import Given, Written
from penjing.exporters.gguf.architectures import content_of
from penjing.exporters.gguf.checking import WRITTEN, compare
from penjing.exporters.gguf.content import Content
from penjing.exporters.gguf.tokenizer import TEXTS, entries_of
from penjing.exporters.gguf.types import TYPES, kinds, stored_note
from penjing.exporters.gguf.writing import write
from penjing.exporters.llama.library import library
from penjing.exporters.llama.model import LlamaModel
from penjing.exporters.llama.timing import TimedGguf
from penjing.io import OpenCheckpoint, open_checkpoint
from penjing.io.recorded import with_modules
from penjing.layouts.config.stock import full_config

PROMPTS, LONGEST = 3, 48
FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Any of these lies beside a model that has a tokenizer."""


class Gguf:
    """The format; see the head of this file."""

    runtime = "llama.cpp"
    modules = frozenset({"nothing"})
    suffix = ".gguf"
    opens = (
        "from xllamacpp import CommonParams, Server\nparams = CommonParams()\nparams.model.path = FILE\n"
        "print(Server(params).handle_completions({'prompt': 'Once', 'max_tokens': 16}))"
    )
    variants = {name: kind.what for name, kind in TYPES.items()}  # noqa: RUF012

    def multiple(self, variant: str) -> int:
        """The values in a block of the type."""
        return TYPES[variant].block

    def refuse(
        self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], variant: str, folder: Path | None = None
    ) -> None:
        """See that llama.cpp has such a model, and its tokenizer, and that rows are made of whole blocks.

        Raises:
            MissingExtraError: gguf or llama.cpp is not installed.
            ExportError: it has not, or they are not.
        """
        _installed()
        content = _content(config, shapes)
        _kinds(content, variant)
        if folder is not None:
            with open_checkpoint(folder) as checkpoint:
                entries_of(_tokenizer(checkpoint, folder), content.keys["vocab_size"])

    def open(self, path: Path, *, context: int, threads: int) -> LlamaModel:
        """The file in llama.cpp, with attention and cache as llama.cpp chooses them.

        Raises:
            MissingExtraError: llama.cpp is not installed.
            ExportError: it does not open the file.
        """
        return LlamaModel(path, context=context, threads=threads, exact=False)

    def load(self) -> None:
        """Load llama.cpp.

        Raises:
            MissingExtraError: it is not installed.
        """
        library()

    def timed(self, path: Path, *, prompt: int, context: int, threads: int) -> TimedGguf:
        """The file in llama.cpp, in this process.

        Raises:
            MissingExtraError: llama.cpp is not installed.
            ExportError: it does not open the file.
        """
        return TimedGguf(path, prompt=prompt, context=context, threads=threads)

    def make(self, given: Given, path: Path, variant: str, progress: Progress) -> Written:
        """Write the file, run it, and hold it against the model.

        Raises:
            MissingExtraError: gguf or llama.cpp is not installed.
            ExportError: the model cannot be written so, or the file computes something else.
        """
        _installed()
        with open_checkpoint(given.folder) as checkpoint:
            content = _content(with_modules(checkpoint.config, given.folder), checkpoint.shapes)
            stored = _kinds(content, variant)
            tokenizer = _tokenizer(checkpoint, given.folder)
            progress("trying llama.cpp's tokenizers", 0, 0)
            entries = entries_of(tokenizer, content.keys["vocab_size"])
            named = {"general.name": given.folder.resolve().name} | entries
            write(path, content, named, checkpoint.__getitem__, stored, TYPES[variant].file, progress)
        progress("opening the model", 0, 0)
        prompts = _prompts(tokenizer, content)
        module = given.load(torch.float32)
        found = compare(path, module, prompts, variant, tolerance=content.tolerance, progress=progress)
        notes = [
            f"{found.same} of {found.written} tokens written one after another are the model's",
            f"divergence {found.divergence:.2g} nats, by {found.version}",
        ]
        if len(set(stored.values()) - {"f32"}) > 1:
            notes.append(stored_note(content.pieces, stored))
        if tokenizer is None:
            notes.append("the folder has no tokenizer, so the file has none: it takes numbers of tokens only")
        return Written(
            path=path, bytes=path.stat().st_size, difference=found.difference,
            compared=tuple(f"input_ids [1, {len(p)}]" for p in prompts), notes=tuple(notes),
        )  # fmt: skip


def _installed() -> None:
    for package, extra in (("gguf", "gguf"), ("xllamacpp", "llama")):
        if find_spec(package) is None:
            raise MissingExtraError(package, extra, "writing a GGUF file and running it")


def _content(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Content:
    other = {path: spec.kind for path, spec in specs_of(config).items() if spec.kind not in Gguf.modules}
    if other:
        path, kind = next(iter(other.items()))
        raise ExportError(
            f"{path} is a module of kind '{kind}', and llama.cpp has stock ones only; 'penjing "
            "dense' makes stock layers of products and chains, which are as large then as before they were factored"
        )
    return content_of(_full(config), shapes)


def _kinds(content: Content, variant: str) -> dict[str, str]:
    heads, kv = (content.keys.get(f"attention.head_count{end}", 1) for end in ("", "_kv"))
    heads, kv = (max(n) if isinstance(n, list) else n for n in (heads, kv))
    return kinds(content.pieces, variant, heads // max(1, kv))


def _full(config: Any) -> dict[str, Any]:
    """Every entry of the config; those of layers and modules are read off the tensors."""
    return full_config({k: v for k, v in config.items() if not k.startswith("penjing_") and k != "per_layer_config"})


def _tokenizer(checkpoint: OpenCheckpoint, folder: Path) -> Any:
    """The tokenizer of the folder, None if no file there is of one.

    Raises:
        ExportError: there are files, and transformers makes no quick tokenizer of them.
    """
    if not any((folder / name).is_file() for name in FILES):
        return None
    try:
        found = checkpoint.tokenizer()
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    if getattr(found, "backend_tokenizer", None) is None:
        raise ExportError(f"{folder} has a tokenizer of another kind than tokenizer.json; save it again as a fast one")
    return found


def _prompts(tokenizer: Any, content: Content) -> list[list[int]]:
    """Real text where there is a tokenizer; else tokens at random."""
    room = max(2, min(LONGEST, content.keys["context_length"] - WRITTEN))
    if tokenizer is not None:
        return [tokenizer(text)["input_ids"][:room] for text in TEXTS[:PROMPTS]]
    drawn = torch.Generator().manual_seed(0)
    sizes = [max(1, room - 5 * k) for k in range(PROMPTS)]
    return [torch.randint(0, content.keys["vocab_size"], (n,), generator=drawn).tolist() for n in sizes]


EXPORTER = Gguf()
