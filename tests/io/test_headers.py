import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from penjing.errors import CheckpointError
from penjing.io import dtypes
from penjing.io.dtypes import DTYPES
from penjing.io.headers import build_header, parse_header, read_header
from penjing.io.reading import read_pieces, read_rows, read_tensor
from penjing.io.spans import KINDS, TensorSpec

GOOD = {
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
}


def whole(table: object, data: int = 32) -> bytes:
    raw = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(raw).to_bytes(8, "little") + raw + b"\0" * data


def changed(**more: object) -> dict:
    return {**GOOD, "b": {**GOOD["b"], **more}}


BAD = {
    "empty": (b"", "is 0 bytes long"),
    "short": (b"1234567", "is 7 bytes long"),
    "no header": ((0).to_bytes(8, "little"), "begins with"),
    "a pickle": (b"\x80\x04\x95\0\0\0\0\0" + b"." * 64, "claims a header"),
    "a page": (b"<!DOCTYPE html><html>not found</html>", "claims a header"),
    "absurd length": ((2**63).to_bytes(8, "little") + b"{}", "100000000 is the most"),
    "length beyond file": ((5000).to_bytes(8, "little") + b"{}", "the file has 2 after"),
    "truncated": (whole(GOOD)[:-1], "is truncated"),
    "too long": (whole(GOOD) + b"x", "belong to no tensor"),
    "not utf-8": (whole(b'{"\xff\xfe": 1}'), "not UTF-8"),
    "not json": (whole(b'{"a": '), "not JSON"),
    "a list": (whole(b"[1]"), "begins with"),
    "nested": (whole(b'{"a":' * 100_000), "nested too deep|not JSON"),
    "nan": (whole(b'{"a": NaN}'), "has NaN"),
    "infinity": (whole(b'{"a": -Infinity}'), "has -Infinity"),
    "many digits": (whole(b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
    "twice": (whole(b'{"a": 1, "a": 2}'), "names 'a' twice"),
    "twice inside": (whole(b'{"a": {"dtype": "F32", "dtype": "F16"}}'), "names 'dtype' twice"),
    "lone surrogate": (whole(b'{"\\ud800": {}}'), "valid UTF-8"),
    "no table": (whole({"a": 3}), "describes tensor 'a' as 3"),
    "no dtype": (whole({"a": {"shape": [], "data_offsets": [0, 1]}}), "describes tensor 'a'"),
    "metadata": (whole({"__metadata__": {"a": 1}}, 0), "table of texts"),
    "unknown dtype": (whole(changed(dtype="F7")), "of dtype 'F7'"),
    "list dtype": (whole(changed(dtype=["F32"])), "of dtype"),
    "negative": (whole(changed(shape=[-4])), "shape"),
    "boolean": (whole(changed(shape=[True])), "shape"),
    "float": (whole(changed(shape=[4.0])), "shape"),
    "huge": (whole(changed(shape=[2**64])), "shape"),
    "vast product": (whole(changed(shape=[2**62, 2**62, 0])), "fewer than 2"),
    "wrong size": (whole(changed(shape=[5])), "10 were needed"),
    "many dimensions": (whole(changed(shape=[1] * 65)), "short list"),
    "beyond the file": (whole(changed(shape=[400], data_offsets=[24, 824])), "is truncated"),
    "backwards": (whole(changed(data_offsets=[32, 24])), "first byte and an end"),
    "three offsets": (whole(changed(data_offsets=[24, 32, 40])), "first byte and an end"),
    "overlap": (whole(changed(data_offsets=[20, 28])), "overlaps"),
    "hole": (whole(changed(data_offsets=[28, 36]), 36), "leaves a hole"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_header_is_refused_with_its_file_and_reason(case: str, tmp_path: Path) -> None:
    data, reason = BAD[case]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=reason) as caught:
        read_header(path)
    assert "bad.safetensors" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_header(path)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_random_bytes_raise_nothing_but_checkpoint_errors(raw: bytes, size: int) -> None:
    for data in (raw, b"{" + raw):
        with suppress(CheckpointError):
            parse_header(data, Path("x"), size)


@settings(max_examples=500)
@given(st.data())
def test_mutated_headers_raise_nothing_but_checkpoint_errors(data: st.DataObject) -> None:
    raw = bytearray(json.dumps(GOOD).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        header = parse_header(bytes(raw), Path("x"), 8 + len(raw) + 32)
    except CheckpointError:
        return
    assert sum(s.length for s in header.spans.values()) == 32


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON, JSON)
def test_any_json_in_an_entry_raises_nothing_but_checkpoint_errors(dtype: object, shape: object, place: object) -> None:
    raw = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": place}, "b": dtype}).encode()
    with pytest.raises(CheckpointError):
        parse_header(raw, Path("x"), 8 + len(raw))


@pytest.mark.parametrize("code", DTYPES)
def test_every_dtype_comes_back_as_it_was_written(code: str, tmp_path: Path) -> None:
    dtype = DTYPES[code]
    value = torch.randint(0, 2, (3, 4, 2), dtype=torch.uint8).view(-1)
    value = value.repeat(dtype.itemsize).view(dtype).reshape(3, 4, 2)
    path = tmp_path / "m.safetensors"
    save_file({"a": value, "empty": torch.empty(0, 2), "scalar": torch.tensor(3.5)}, path)
    header = read_header(path)
    spec = header.tensors["a"]
    got = read_tensor(header.spans["a"], spec.dtype, spec.shape)
    assert got.dtype == dtype
    assert got.shape == value.shape
    assert torch.equal(got.view(torch.uint8), value.view(torch.uint8))
    assert read_tensor(header.spans["scalar"], torch.float32, ()) == 3.5
    first, offsets = build_header([spec], {"format": "pt"})
    again = parse_header(first[8:], path, len(first) + spec.length)
    assert again.tensors["a"] == spec
    assert again.spans["a"].offset == offsets["a"]


def test_the_sizes_of_dtypes_are_those_of_torch() -> None:
    assert {code: dtype.itemsize for code, dtype in DTYPES.items()} == {c: KINDS[c][1] for c in DTYPES}


def test_a_dtype_that_the_installed_torch_lacks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.ones(2, dtype=torch.float16)}, path)
    monkeypatch.delitem(dtypes.DTYPES, "F16")
    header = read_header(path)
    assert header.names == ("a",)
    with pytest.raises(CheckpointError, match="of dtype F16, which the installed torch lacks"):
        _ = header.tensors


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(start=st.integers(0, 7), count=st.integers(0, 5), most=st.integers(1, 200))
def test_rows_and_pieces_are_the_same_bytes(start: int, count: int, most: int, tmp_path: Path) -> None:
    value = torch.randn(12, 5)
    path = tmp_path / "m.safetensors"
    save_file({"z": torch.ones(3, dtype=torch.uint8), "a": value}, path)
    span = read_header(path).spans["a"]
    assert torch.equal(read_rows(span, torch.float32, (12, 5), start, start + count), value[start : start + count])
    assert torch.equal(torch.cat([p.clone() for p in read_pieces(span, torch.float32, most)]), value.reshape(-1))


def test_written_headers_align_every_tensor_and_are_read_by_safetensors(tmp_path: Path) -> None:
    kinds = {"byte": (torch.uint8, 3), "wide": (torch.float64, 2), "é": (torch.half, 1)}
    specs = [TensorSpec(name, dtype, (size,)) for name, (dtype, size) in kinds.items()]
    first, offsets = build_header(specs, {"format": "pt"})
    assert all(offsets[s.name] % s.dtype.itemsize == 0 for s in specs)
    path = tmp_path / "m.safetensors"
    path.write_bytes(first + b"\0" * 21)
    assert {k: v.dtype for k, v in load_file(path).items()} == {s.name: s.dtype for s in specs}


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.ones(100)}, path)
    span = read_header(path).spans["a"]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        read_tensor(span, torch.float32, (100,))
