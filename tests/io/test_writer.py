"""What is written reads back; what does not fit, or would land elsewhere, is refused."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch
from tests.io.written import SHARDS, SPECS, StopError, hashes, stopping, value, write

from penjing.errors import OutputError
from penjing.io import Span, TensorSpec, check_output, open_checkpoint, pack
from penjing.io.shard_file import ShardFile


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    done: list[int] = []
    write(tmp_path / "out", progress=done.append)
    opened = open_checkpoint(tmp_path / "out")
    assert opened.config == {"a": 1}
    assert set(opened.shapes) == {s.name for s in SPECS}
    assert all(torch.equal(opened[s.name], value(s.name)) for s in SPECS)
    assert [set(s) for s in opened.shards] == [set(s) for s in SHARDS]
    assert sum(done) == sum(s.length for s in SPECS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_pieces_spans_and_strided_tensors_make_the_same_bytes(tmp_path: Path, wanted: dict[str, str]) -> None:
    raw = tmp_path / "raw"

    def produce(name: str):
        kind, full = int(name[2:]) % 4, value(name)
        if kind == 0:
            raw.write_bytes(b"pad" + full.view(torch.uint8).numpy().tobytes())
            return Span(raw, 3, full.numel() * full.element_size())
        return (full, iter(full.split(2)), full.t().contiguous().t())[kind - 1]

    write(tmp_path / "out", produce)
    assert hashes(tmp_path / "out") == wanted


def test_a_span_is_copied_without_the_kernel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> int:
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(os, "copy_file_range", none)
    test_pieces_spans_and_strided_tensors_make_the_same_bytes(tmp_path, _reference(tmp_path))


def _reference(tmp_path: Path) -> dict[str, str]:
    write(tmp_path / "reference")
    return hashes(tmp_path / "reference")


def test_one_file_has_no_index(tmp_path: Path) -> None:
    write(tmp_path / "out", shards=None)
    assert sorted(hashes(tmp_path / "out")) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_packing_respects_the_limit() -> None:
    assert pack([TensorSpec(n, torch.uint8, (4,)) for n in "abc"] + [TensorSpec("d", torch.uint8, (99,))], 8) == [
        ["a", "b"], ["c"], ["d"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        torch.zeros(5, 3),
        torch.zeros(5, 41).half(),
        iter([torch.zeros(200)]),
        iter([torch.zeros(300)]),
        Span(Path("x"), 0, 3),
    ],
)
def test_other_than_promised_is_refused(given: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'t\.1' came with .* was promised"):
        write(tmp_path / "out", lambda name: given if name == "t.1" else value(name))
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        write(tmp_path / "file")
    with pytest.raises(OutputError, match="not empty"):
        write(tmp_path)
    assert (tmp_path / "file").read_text() == "x"
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.partial"))


def test_an_empty_folder_is_taken(tmp_path: Path, wanted: dict[str, str]) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out")
    assert hashes(tmp_path / "out") == wanted


def test_the_input_and_places_in_it_are_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "in")
    (tmp_path / "in").mkdir()
    for out in (tmp_path / "in", link, tmp_path / "in" / "sub" / "out", tmp_path / "x" / ".." / "in" / "out"):
        with pytest.raises(OutputError, match="input"):
            check_output(out, [tmp_path / "in"])


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write(Path("/proc/penjing/out"))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", "config.json", "model-00001-of-00003.safetensors"])
def test_side_files_cannot_leave_or_overwrite(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="side file"):
        write(tmp_path / "out", side_files={name: b""})


def test_a_disk_known_to_be_too_small_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr("penjing.io.writer.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"more bytes, and its disk has 100 free"):
        write(tmp_path / "out", stopping(1, StopError(), []))
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_run_wrote_stays_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StopError):
        write(tmp_path / "out", stopping(2, StopError(), []))
    begun = sorted(p.name for p in tmp_path.rglob("*"))
    usage = shutil.disk_usage(tmp_path)._replace(free=1)
    monkeypatch.setattr("penjing.io.writer.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"1 free"):
        write(tmp_path / "out")
    assert sorted(p.name for p in tmp_path.rglob("*")) == begun


def test_a_shard_cannot_be_led_elsewhere_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError):
        ShardFile(tmp_path / "model.safetensors", b"x", 1)
    assert (tmp_path / "victim").read_text() == "precious"
