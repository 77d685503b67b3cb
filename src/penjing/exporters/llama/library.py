"""The C interface of llama.cpp, as far as it is needed to run a file and to quantise rows.

The settings of a context are handed over by value, and their places in that structure move from version to version.
They are found by the defaults that stand there, and what was set is asked for afterwards; a version in which they are
not found is refused.

Source: `llama.h` and `ggml.h` of llama.cpp.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from penjing.errors import ExportError, MissingExtraError

BATCH = 512
"""Tokens that are decoded at once."""
F32_CACHE = 0
_ROOM = 128  # 8-byte words: more than any of the structures takes
_MINUS_ONE, _MINUS_ONE_F = 0xFFFFFFFF, 0xBF800000
_STREAK = [_MINUS_ONE] * 4 + [0, 0] + [_MINUS_ONE_F] * 4


class _Settings(ctypes.Structure):
    """Room for a structure that is passed by value, as words of four bytes."""

    _fields_ = [("words", ctypes.c_uint32 * (2 * _ROOM)), ("align", ctypes.c_uint64)]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


@cache
def library() -> Any:
    """The library of the installed wheel, loaded.

    Raises:
        MissingExtraError: the wheel is not installed.
    """
    found = find_spec("xllamacpp")
    places = found.submodule_search_locations if found is not None else None
    files = [f for place in places or () for f in Path(place).glob("xllamacpp*") if f.suffix in (".so", ".pyd")]
    if not files:
        raise MissingExtraError("xllamacpp", "llama", "running a GGUF file in llama.cpp")
    lib = ctypes.CDLL(str(files[0]))
    lib.llama_backend_init()
    _declare(lib)
    return lib


def _declare(lib: Any) -> None:
    pointer, text, i32 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
    numbers, flag = ctypes.POINTER(ctypes.c_int32), ctypes.c_bool
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "llama_version": (text, []),
        "llama_model_default_params": (_Settings, []),
        "llama_context_default_params": (_Settings, []),
        "llama_model_load_from_file": (pointer, [text, _Settings]),
        "llama_init_from_model": (pointer, [pointer, _Settings]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_vocab_n_tokens": (i32, [pointer]),
        "llama_model_n_ctx_train": (i32, [pointer]),
        "llama_n_threads": (i32, [pointer]),
        "llama_n_ctx": (ctypes.c_uint32, [pointer]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, flag]),
        "llama_memory_seq_rm": (flag, [pointer, i32, i32, i32]),
        "llama_model_n_params": (ctypes.c_uint64, [pointer]),
        "llama_vocab_type": (i32, [pointer]),
        "llama_batch_init": (_Batch, [i32, i32, i32]),
        "llama_batch_free": (None, [_Batch]),
        "llama_decode": (i32, [pointer, _Batch]),
        "llama_synchronize": (None, [pointer]),
        "llama_get_logits": (ctypes.POINTER(ctypes.c_float), [pointer]),
        "llama_tokenize": (i32, [pointer, text, i32, numbers, i32, flag, flag]),
        "llama_free": (None, [pointer]),
        "llama_model_free": (None, [pointer]),
        "ggml_row_size": (ctypes.c_size_t, [i32, ctypes.c_int64]),
        "ggml_quantize_chunk": (
            ctypes.c_size_t,
            [i32, pointer, pointer, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, pointer],
        ),
    }
    for name, (result, given) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, given


def version() -> str:
    """What llama.cpp calls itself, and the wheel's version."""
    from importlib.metadata import version as of

    return f"llama.cpp {library().llama_version().decode()} (xllamacpp {of('xllamacpp')})"


def quantised(values: np.ndarray, kind: int) -> np.ndarray:
    """uint8 [rows, bytes]: float32 values [rows, columns] as ggml's type of this number, by ggml's own code.

    Raises:
        ExportError: ggml writes another number of bytes.
    """
    lib = library()
    values = np.ascontiguousarray(values, np.float32)
    rows, columns = values.shape
    out = np.empty((rows, lib.ggml_row_size(kind, columns)), np.uint8)
    wrote = lib.ggml_quantize_chunk(kind, values.ctypes.data, out.ctypes.data, 0, rows, columns, None)
    if wrote != out.nbytes:
        raise ExportError(f"ggml wrote {wrote} bytes for {rows} rows of {columns}, needed {out.nbytes}; report it")
    return out


class Running:
    """A file in memory and a context for it; tokens go in, logits come out. Close it when done.

    With `exact`, attention is computed step by step and its cache is float32, as transformers does in float32;
    without, both are llama.cpp's own choice.

    Raises:
        ExportError: llama.cpp does not open the file, or its settings are not where they were.
    """

    def __init__(self, path: Path, *, context: int, threads: int, exact: bool) -> None:
        lib = self.lib = library()
        self.context = self.model = None
        self.model = lib.llama_model_load_from_file(str(path).encode(), lib.llama_model_default_params())
        if not self.model:
            raise ExportError(f"llama.cpp does not open {path.name}")
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocab)
        self.positions = lib.llama_model_n_ctx_train(self.model)
        self.parameters = lib.llama_model_n_params(self.model)
        self.reads_text = lib.llama_vocab_type(self.vocab) != 0
        if not context:
            return
        self.room = context = min(context, self.positions)
        settings = _context_settings(lib.llama_context_default_params(), context, threads, exact)
        self.context = lib.llama_init_from_model(self.model, settings)
        if not self.context:
            raise ExportError(f"llama.cpp makes no context of {context} tokens for {path.name}")
        if lib.llama_n_threads(self.context) != threads or lib.llama_n_ctx(self.context) < context:
            raise ExportError("this version of llama.cpp keeps its settings elsewhere; install the tested xllamacpp")

    batch = BATCH

    def forget(self, start: int) -> None:
        """Empty the cache from this position on."""
        self.lib.llama_memory_seq_rm(self.lib.llama_get_memory(self.context), 0, start, -1)

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """float32 [tokens, vocabulary]: after each token, from an empty cache."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        starts = range(0, len(tokens), BATCH)
        return np.concatenate([self._decode(tokens[s : s + BATCH], s, every=True) for s in starts])

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest token, `count` times over, with the cache."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        out: list[int] = []
        last, at = list(tokens), 0
        for _ in range(count):
            for start in range(0, len(last), BATCH):
                found = self._decode(last[start : start + BATCH], at, every=False)
                at += len(last[start : start + BATCH])
            out.append(int(found[-1].argmax()))  # type: ignore[possibly-undefined]
            last = [out[-1]]
        return out

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """The tokens of a text, without those that are put before and after it; `special`: marks are read as such.

        Raises:
            ExportError: llama.cpp reads none.
        """
        data = text.encode()
        room = (ctypes.c_int32 * (len(data) + 8))()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), room, len(room), False, special)
        if count < 0:
            raise ExportError(f"llama.cpp cannot read the text {text[:40]!r}")
        return list(room[:count])

    def close(self) -> None:
        """Free the memory."""
        if self.context:
            self.lib.llama_free(self.context)
        if self.model:
            self.lib.llama_model_free(self.model)
        self.context = self.model = None

    def _decode(self, tokens: Sequence[int], start: int, *, every: bool) -> np.ndarray:
        with self.ready(tokens, start, every=every) as batch:
            self.run(batch, len(tokens), start)
            rows = len(tokens) if every else 1
            found = np.ctypeslib.as_array(self.lib.llama_get_logits(self.context), (rows, self.size))
            return found.copy()

    @contextmanager
    def ready(self, tokens: Sequence[int], start: int, *, every: bool) -> Iterator[_Batch]:
        """A batch to run: tokens from a position on; logits are wanted after `every` one, or the last.

        Raises:
            ExportError: they do not fit into the context, or one is none of the file's.
        """
        if start + len(tokens) > self.room:
            raise ExportError(f"{start + len(tokens)} tokens do not fit into a context of {self.room}; ask for more")
        batch = self.lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                if not 0 <= token < self.size:
                    raise ExportError(f"token {token} is none of the file's {self.size}")
                batch.token[i], batch.pos[i] = token, start + i
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
                batch.logits[i] = every or i == len(tokens) - 1
            yield batch
        finally:
            self.lib.llama_batch_free(batch)

    def run(self, batch: _Batch, count: int, start: int) -> None:
        """Run a batch, to its end.

        Raises:
            ExportError: llama.cpp does not.
        """
        status = self.lib.llama_decode(self.context, batch)
        self.lib.llama_synchronize(self.context)
        if status:
            raise ExportError(f"llama.cpp does not decode {count} tokens at {start}: status {status}")


def _context_settings(settings: _Settings, context: int, threads: int, exact: bool) -> _Settings:
    words = settings.words
    plain = list(words)
    # Four kinds that are chosen by the file (the last is flash attention's), then the rotation's six numbers.
    place = next((i for i in range(3, 32) if plain[i : i + len(_STREAK)] == _STREAK), None)
    if place is not None and plain[:3] == [512, 2048, 512] and plain[place - 3] == plain[place - 2]:
        types = next((i for i in range(place + len(_STREAK), place + 20) if plain[i : i + 2] == [1, 1]), None)
        if types is not None:
            words[0], words[1], words[2] = context, BATCH, BATCH
            words[place - 3] = words[place - 2] = threads
            if exact:
                words[place + 3] = 0
                words[types] = words[types + 1] = F32_CACHE
            return settings
    raise ExportError("this version of llama.cpp keeps its settings elsewhere; install the tested xllamacpp")
