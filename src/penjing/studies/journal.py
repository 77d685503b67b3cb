"""The folder of a study: whose it is, a line for each finished run, and the same as columns.

`study.json` says which study it is; `runs.jsonl` has a line for each finished run, and only a line that ends in a
newline counts; `runs.npz` holds an array for each column (a row for each run), written anew now and then and whole.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penjing.errors import OutputError
from penjing.io import write_whole, writing
from penjing.studies.asked import Study
from penjing.studies.columns import as_npz
from penjing.studies.task import Outcome, Run

FORMAT = "penjing study 1"
LINES, COLUMNS, WHOSE = "runs.jsonl", "runs.npz", "study.json"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A finished run: its setting by name and values, its seed, and what became of it."""

    key: str
    setting: str
    seed: int
    values: Mapping[str, Any]
    figures: Mapping[str, Any]
    error: str
    seconds: float
    where: str


def read_rows(folder: Path) -> dict[str, Row]:
    """Key -> row of every finished run in a folder; of two lines for one run the later one holds.

    Raises:
        OutputError: the journal cannot be read.
    """
    try:
        text = (folder / LINES).read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OutputError(f"{folder / LINES} cannot be read ({error.strerror}); mend it") from error
    return _rows(text)[0]


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study of ours."""
    return _whose(folder) is not None


def check_same(study: Study) -> bool:
    """Whether the study was begun in its folder before.

    Raises:
        OutputError: something else is there: another study, or files that are of none.
    """
    folder = study.out
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; name a folder for the study")
    known = _whose(folder)
    if known is None:
        if folder.is_dir() and any(p.name not in ("lock", f"{WHOSE}.new") for p in folder.iterdir()):
            raise OutputError(f"{folder} is not empty and holds no study; name another folder as out")
        return False
    if known["experiment"] != study.experiment:
        found = f"its experiment is '{known['experiment']}', this one's '{study.experiment}'"
        raise OutputError(f"{folder} holds another study: {found}; name another folder as out")
    asked = {s.name: json.loads(json.dumps(s.values)) for s in study.settings}
    then = known["settings"]
    odd = [n for n in asked if n in then and then[n] != asked[n]]
    if odd:
        found = f"there the setting '{odd[0]}' is {then[odd[0]]}, here {asked[odd[0]]}"
        raise OutputError(f"{folder} holds another study: {found}; name another folder as out")
    if not (asked.keys() <= then.keys() or then.keys() <= asked.keys()):
        only = sorted(then.keys() - asked.keys())[0]
        raise OutputError(f"{folder} holds another study: it has the setting '{only}'; name another folder as out")
    return True


class Journal:
    """The folder of a study while it is carried out by this process, and by no other."""

    def __init__(self, study: Study) -> None:
        """Make the folder, lock it, and read what is finished.

        Raises:
            OutputError: another study is there, another process carries this one out, or the disk refuses.
        """
        self.folder = study.out
        check_same(study)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._take(study)
            except BaseException:
                os.close(self._lock)
                raise

    def add(self, run: Run, outcome: Outcome) -> None:
        """Put a finished run on the disk.

        Raises:
            OutputError: the disk refuses; what was finished before stays.
        """
        row = Row(
            key=run.key, setting=run.setting, seed=run.seed, values=run.values, figures=outcome.figures,
            error=outcome.error, seconds=round(outcome.seconds, 4), where=outcome.where,
        )  # fmt: skip
        line = memoryview(json.dumps(vars(row)).encode() + b"\n")
        with writing(self.folder / LINES):
            try:
                while line:
                    line = line[os.write(self._file, line) :]
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, self._length)
                os.lseek(self._file, 0, os.SEEK_END)
                raise
        self._length = os.lseek(self._file, 0, os.SEEK_CUR)
        self.rows[row.key] = row

    def write_columns(self) -> None:
        """Write `runs.npz` anew.

        Raises:
            OutputError: the disk refuses.
        """
        with writing(self.folder / COLUMNS):
            write_whole(self.folder / COLUMNS, as_npz(list(self.rows.values())))

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._file)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _take(self, study: Study) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another process carries out the study in {self.folder}; wait until it is done"
            ) from error
        check_same(study)  # what another process may have begun meanwhile
        known = _whose(self.folder) or {"settings": {}}
        settings = {**known["settings"], **{s.name: s.values for s in study.settings}}
        told = {"format": FORMAT, "experiment": study.experiment, "settings": settings}
        write_whole(self.folder / WHOSE, json.dumps(told, indent=1).encode() + b"\n")
        self._file = os.open(self.folder / LINES, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.rows, self._length = _rows((self.folder / LINES).read_bytes())
        os.ftruncate(self._file, self._length)  # a line cut short by a crash must not run into the next one
        os.lseek(self._file, 0, os.SEEK_END)


def _whose(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / WHOSE).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def _rows(text: bytes) -> tuple[dict[str, Row], int]:
    """(key -> row of the whole, readable lines at the start of a journal, the length of those lines)."""
    found: dict[str, Row] = {}
    length = 0
    for line in text.splitlines(keepends=True):
        try:
            row = Row(**json.loads(line))
        except (ValueError, TypeError):
            break
        if not line.endswith(b"\n"):
            break
        found[row.key] = row
        length += len(line)
    return found, length
