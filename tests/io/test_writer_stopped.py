"""A run that was stopped, killed or out of room goes on to the same bytes."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import pytest
from tests.io.written import StopError, hashes, stopping, value, write
from torch import Tensor

from penjing.errors import OutputError
from penjing.io import writer


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


INTERRUPTED = 130
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "penjing.io"])  # imported once: each run would need seconds for them


def slowly(out: Path, ready: Connection) -> None:
    """Write with a rest before each tensor, in many groups, and hear interrupts, which the parent may ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    writer.GROUP = 1500

    def produce(name: str) -> Tensor:
        time.sleep(0.02)
        return value(name)

    ready.send("ready")
    try:
        write(out, produce)
    except KeyboardInterrupt:  # told apart from any other failure, which gives 1
        sys.exit(INTERRUPTED)


def started(out: Path) -> BaseProcess:
    here, there = FORKS.Pipe(duplex=False)
    run = FORKS.Process(target=slowly, args=(out, there))
    run.start()
    there.close()  # so that a run that dies ends the wait
    assert here.recv() == "ready"
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
        run.join()
        if not out.exists():
            journal = tmp_path / f".out{turn}.partial" / "journal"
            kept += journal.exists() and journal.stat().st_size > 0
            write(out)
        assert hashes(out) == wanted
    assert kept > 3


def test_ctrl_c_leaves_a_run_that_can_go_on(tmp_path: Path, wanted: dict[str, str]) -> None:
    run = started(tmp_path / "out")
    time.sleep(0.1)
    os.kill(run.pid, signal.SIGINT)
    run.join()
    assert run.exitcode == INTERRUPTED
    assert not (tmp_path / "out").exists()
    write(tmp_path / "out")
    assert hashes(tmp_path / "out") == wanted


def test_two_runs_into_one_output_refuse(tmp_path: Path, wanted: dict[str, str]) -> None:
    run = started(tmp_path / "out")
    while not (tmp_path / ".out.partial" / "journal").exists():
        time.sleep(0.005)
    with pytest.raises(OutputError, match="another run is writing"):
        write(tmp_path / "out")
    run.join()
    assert run.exitcode == 0
    assert hashes(tmp_path / "out") == wanted
