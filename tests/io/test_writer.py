import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
import torch
from torch import Tensor

from penjing.errors import OutputError
from penjing.io import Span, TensorSpec, check_output, open_checkpoint, pack, write_folder
from penjing.io.shard_file import ShardFile

SPECS = [TensorSpec(f"t.{i}", torch.float32 if i % 3 else torch.bfloat16, (5, 40 + i)) for i in range(12)]
SHARDS = [[s.name for s in SPECS[:5]], [s.name for s in SPECS[5:9]], [s.name for s in SPECS[9:]]]


def value(name: str) -> Tensor:
    spec = next(s for s in SPECS if s.name == name)
    return torch.randn(spec.shape, generator=torch.Generator().manual_seed(int(name[2:]))).to(spec.dtype)


def write(out: Path, produce=value, *, fingerprint: str = "f", shards=SHARDS, **more) -> None:
    given = {"config": {"a": 1}, "side_files": {"tokenizer.json": b"{}"}, **more}
    write_folder(out, SPECS, produce, shards=shards, fingerprint=fingerprint, **given)


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("reference") / "out"
    write(out)
    return hashes(out)


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


class StopError(Exception):
    pass


def stopping(at: int, error: BaseException, seen: list[str]):
    def produce(name: str) -> Tensor:
        seen.append(name)
        if len(seen) == at:
            raise error
        return value(name)

    return produce


@pytest.mark.parametrize("error", [StopError(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [1, 4, 7, 12])
def test_a_stopped_run_goes_on_where_it_was(
    at: int, error: BaseException, tmp_path: Path, wanted: dict[str, str]
) -> None:
    with pytest.raises(type(error)):
        write(tmp_path / "out", stopping(at, error, []))
    assert not (tmp_path / "out").exists()
    again: list[str] = []
    write(tmp_path / "out", stopping(99, error, again))
    assert len(again) == 12 - (at - 1)
    assert hashes(tmp_path / "out") == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_another_plan_starts_anew(tmp_path: Path, wanted: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StopError):
        write(tmp_path / "out", stopping(6, StopError(), []), fingerprint="other")
    seen: list[str] = []
    write(tmp_path / "out", stopping(99, StopError(), seen))
    assert len(seen) == 12
    assert "another plan" in caplog.text
    assert hashes(tmp_path / "out") == wanted


def test_a_strange_folder_in_the_way_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / ".out.partial"
    place.mkdir()
    (place / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="not of penjing"):
        write(tmp_path / "out")
    (place / "diary.txt").rename(place / "manifest.json")
    with pytest.raises(OutputError, match="not a manifest"):
        write(tmp_path / "out")
    assert (place / "manifest.json").read_text() == "mine"


def test_damage_in_the_journal_costs_only_work(tmp_path: Path, wanted: dict[str, str]) -> None:
    with pytest.raises(StopError):
        write(tmp_path / "out", stopping(9, StopError(), []))
    journal = tmp_path / ".out.partial" / "journal"
    journal.write_bytes(journal.read_bytes()[:-4] + b"\0\0\n\"t.11\"")
    write(tmp_path / "out")
    assert hashes(tmp_path / "out") == wanted


def test_a_lost_file_is_written_again(tmp_path: Path, wanted: dict[str, str]) -> None:
    with pytest.raises(StopError):
        write(tmp_path / "out", stopping(9, StopError(), []))
    (tmp_path / ".out.partial" / "folder" / "model-00001-of-00003.safetensors").unlink()
    write(tmp_path / "out")
    assert hashes(tmp_path / "out") == wanted


def test_a_run_stopped_between_rename_and_tidying_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penjing.io.workspace import Workspace

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "tidy", lambda self: None)
        write(tmp_path / "out")
    assert (tmp_path / ".out.partial").exists()
    write(tmp_path / "out", stopping(1, StopError(), []))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_full_disk_keeps_what_is_finished(
    tmp_path: Path, wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.pwrite, [4000]

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(OutputError, match=r"no room to write .* run the same again"):
            write(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    seen: list[str] = []
    write(tmp_path / "out", stopping(99, StopError(), seen))
    assert 0 < len(seen) < 12
    assert hashes(tmp_path / "out") == wanted


def test_a_disk_known_to_be_too_small_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr("penjing.io.writer.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"more bytes, and its disk has 100 free"):
        write(tmp_path / "out", stopping(1, StopError(), []))


def test_a_small_disk_that_fills_up_meanwhile(tmp_path: Path, wanted: dict[str, str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    told = subprocess.run(command, capture_output=True, check=False)
    if told.returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    try:
        ballast = disk / "ballast"

        def produce(name: str) -> Tensor:
            if name == "t.5":
                with ballast.open("wb", buffering=0) as file, suppress(OSError):
                    while file.write(b"x" * 4096):
                        pass
            return value(name)

        with pytest.raises(OutputError, match="no room"):
            write(disk / "out", produce)
        assert not (disk / "out").exists()
        ballast.unlink()
        write(disk / "out")
        assert hashes(disk / "out") == wanted
    finally:
        subprocess.run(["umount", str(disk)], check=True)


SLOW = """
import sys, time
sys.path.insert(0, {here!r})
import test_writer as t
from pathlib import Path
def produce(name):
    time.sleep(0.02)
    return t.value(name)
import penjing.io.writer as w
w.GROUP = 1500
print("ready", flush=True)
t.write(Path({out!r}), produce)
"""


def hear_interrupts() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(out: Path) -> subprocess.Popen[str]:
    code = SLOW.format(here=str(Path(__file__).parent), out=str(out))
    pipe = subprocess.PIPE
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, preexec_fn=hear_interrupts
    )
    assert run.stdout
    assert run.stdout.readline() == "ready\n"
    return run


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on_to_the_same_bytes(tmp_path: Path, wanted: dict[str, str]) -> None:
    random = Random(0)
    kept = 0
    for turn in range(20):
        out = tmp_path / f"out{turn}"
        run = started(out)
        time.sleep(random.uniform(0, 0.35))
        run.kill()
        run.communicate()
        if not out.exists():
            journal = tmp_path / f".out{turn}.partial" / "journal"
            kept += journal.exists() and journal.stat().st_size > 0
            write(out)
        assert hashes(out) == wanted
    assert kept > 3


def test_ctrl_c_leaves_a_run_that_can_go_on(tmp_path: Path, wanted: dict[str, str]) -> None:
    run = started(tmp_path / "out")
    time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in run.communicate()[1]
    assert not (tmp_path / "out").exists()
    write(tmp_path / "out")
    assert hashes(tmp_path / "out") == wanted


def test_two_runs_into_one_output_refuse(tmp_path: Path, wanted: dict[str, str]) -> None:
    run = started(tmp_path / "out")
    while not (tmp_path / ".out.partial" / "journal").exists():
        time.sleep(0.005)
    with pytest.raises(OutputError, match="another run is writing"):
        write(tmp_path / "out")
    assert run.communicate()[1] == ""
    assert hashes(tmp_path / "out") == wanted


def test_a_shard_cannot_be_led_elsewhere_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError):
        ShardFile(tmp_path / "model.safetensors", b"x", 1)
    assert (tmp_path / "victim").read_text() == "precious"
