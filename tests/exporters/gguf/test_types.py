"""How each matrix of a file is stored, and that llama.cpp runs files of every type."""

import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.constants import GGML_QUANT_SIZES, LlamaFileType
from tests.exporters.gguf import families

import penjing
from penjing.errors import ExportError
from penjing.exporters.gguf.content import Piece
from penjing.exporters.gguf.mixes import MIXES
from penjing.exporters.gguf.types import STORAGE, TYPES, kinds, stored_note

PARTS = {
    "attn_norm": (256,), "attn_q": (256, 256), "attn_k": (64, 256), "attn_v": (64, 256), "attn_output": (256, 256),
    "ffn_gate": (512, 256), "ffn_up": (512, 256), "ffn_down": (256, 512),
}  # fmt: skip


def pieces(layers, *, tied=True, width=256, neurons=512):
    ends = [("token_embd", (90, width)), ("output_norm", (width,)), *([] if tied else [("output", (90, width))])]
    found = [Piece(name=f"{n}.weight", shape=s) for n, s in ends]
    swap = {256: width, 512: neurons}
    for i in range(layers):
        found += [Piece(name=f"blk.{i}.{n}.weight", shape=tuple(swap.get(x, x) for x in s)) for n, s in PARTS.items()]
    return found


def test_numbers_are_those_of_the_package():
    for name, storage in STORAGE.items():
        kind = GGMLQuantizationType[name.upper()]
        assert (storage.kind, storage.block) == (kind.value, GGML_QUANT_SIZES[kind][0])
        assert not storage.instead or STORAGE[storage.instead].block == 32
    for name, kind in TYPES.items():
        told = "ALL_F32" if name == "f32" else f"MOSTLY_{name.upper()}"
        assert kind.file == LlamaFileType[told].value


def test_q4_k_m_is_the_mix_that_llama_cpp_makes_of_thirty_layers():
    """Six bits for values and second matrices of the first and the last eighth of layers, and of a third between."""
    found = kinds(pieces(30), "q4_k_m", 3)
    six = [n for n in range(30) if n < 30 // 8 or n >= 7 * 30 // 8 or (n - 30 // 8) % 3 == 2]
    assert six == [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29]
    for i in range(30):
        for part in ("attn_v", "ffn_down"):
            assert found[f"blk.{i}.{part}.weight"] == ("q6_k" if i in six else "q4_k")
        assert found[f"blk.{i}.attn_q.weight"] == "q4_k"
        assert found[f"blk.{i}.attn_norm.weight"] == "f32"
    assert found["token_embd.weight"] == "q6_k"


@pytest.mark.parametrize(
    ("asked", "tied", "embedding", "output"),
    [
        ("q4_k_m", True, "q6_k", None), ("q4_k_m", False, "q4_k", "q6_k"), ("q4_0", True, "q8_0", None),
        ("q4_0", False, "q8_0", "q8_0"), ("f16", False, "f16", "f16"), ("q8_0", True, "q8_0", None),
    ],
)  # fmt: skip
def test_the_output_takes_more_bits(asked, tied, embedding, output):
    found = kinds(pieces(2, tied=tied), asked, 1)
    assert (found["token_embd.weight"], found.get("output.weight")) == (embedding, output)


def test_rows_that_are_no_multiples_of_256_take_what_stands_instead():
    found = kinds(pieces(8, width=576, neurons=1536), "q4_k_m", 3)
    assert found["blk.0.attn_q.weight"] == "q5_0"
    assert found["blk.0.ffn_down.weight"] == "q6_k"
    assert found["blk.2.ffn_down.weight"] == "q4_k"
    assert found["token_embd.weight"] == "q8_0"
    note = stored_note(pieces(8, width=576, neurons=1536), found)
    assert "as q5_0" in note
    assert "as q4_k" in note
    with pytest.raises(ExportError, match="have 580 values, and q4_k_m holds blocks of 32; cut to 576"):
        kinds(pieces(1, width=580), "q4_k_m", 3)


@pytest.mark.parametrize("asked", MIXES)
def test_every_part_of_a_mix_is_something_that_ggml_stores(asked):
    for group in (1, 4):
        assert set(kinds(pieces(16, tied=False), asked, group).values()) <= set(STORAGE)


@pytest.mark.parametrize(
    "asked", [t if t in ("q4_k_m", "q2_k") else pytest.param(t, marks=pytest.mark.nightly) for t in TYPES]
)
def test_llama_cpp_runs_a_file_of_every_type(asked, tmp_path):
    families.make("llama", tmp_path / "model", hidden_size=256, intermediate_size=512)
    done = penjing.export(tmp_path / "model", f"gguf:{asked}", tmp_path / "m.gguf")
    tensors = {t.name: t.tensor_type.name.lower() for t in GGUFReader(done.path).tensors}
    assert TYPES[asked].stored in tensors.values()
    assert tensors["blk.0.attn_q.weight"] == TYPES[asked].stored
