"""A shrink that may be stopped at any moment: what it has is kept beside its output until it is finished.

`.NAME.unfinished/` holds `lock`, `asked.json` (whose run this is), `plan/`, `written.json` (the weights have their
name), `reopened.json`, `parts/` (figures, as they are taken), `pages/`, and `stages/` (what is made on the way to a
model that is healed). The same request, run again, goes on there.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from shutil import copyfile, disk_usage, rmtree
from types import TracebackType
from typing import Any, Self

from penjing.core import Plan
from penjing.errors import FinishedError, OutputError, PenjingError, PlanError
from penjing.io import (
    LockedFolder,
    check_output,
    check_replaceable,
    clear_partial,
    load_plan,
    record_in,
    save_plan,
    write_whole,
    writing,
)
from penjing.pipeline.parts import KeptParts
from penjing.surgery import ReopenResult

MARK = "unfinished run of penjing"
FILES = ("asked.json", "written.json", "reopened.json")
FOLDERS = ("plan", "parts", "pages", "stages")
MEMBERS = frozenset({"lock", *FILES, *(f"{name}.new" for name in FILES), *FOLDERS})
PAGES = ("training.jsonl", "picture.png", "items.jsonl", "report.json", "report.html", "README.md")
"""What measuring leaves beside the weights; the card comes last, so that with it all is there."""

log = logging.getLogger(__name__)


class Unfinished:
    """The run that makes the output `out`, from the first step to the last; use it in a `with` block.

    `asked` is what the result's `penjing.json` will say of the request, under `entry`, by which a run of the same is
    known. `whole` says that it tells all of it, so that a kept plan is the plan. A `replacing` run takes a result of
    penjing away.
    """

    def __init__(
        self, out: Path, asked: Mapping[str, Any], *, whole: bool = True, replacing: bool = False,
        entry: str = "request",
    ) -> None:  # fmt: skip
        """Look at what is there; nothing is written yet.

        Raises:
            OutputError: the place is taken, or what is to be replaced is not a result of penjing.
            FinishedError: it holds what is asked for, finished.
        """
        self.out, self._whole = out, whole
        self._place = out.with_name(f".{out.name}.unfinished")
        self.asked = json.loads(json.dumps(asked, default=str))
        self._identity = sha256(json.dumps([self.asked, _versions()], sort_keys=True).encode()).hexdigest()
        self._locked: LockedFolder | None = None
        held = self._held()
        begun = held.get("identity") == self._identity
        self.replacing = replacing or (begun and held.get("replacing") is True)
        there = _request_in(out, entry) == self.asked
        if there and not begun and (out / PAGES[-1]).is_file() and not replacing:
            self._tidy()
            if whole:
                raise FinishedError(
                    f"the output {out} holds what is asked for, finished; force=True (--force) makes it anew"
                )
            there = False
        if not there:
            _check_place(out, self.replacing)
        self._there = there and (begun or not replacing)

    def __enter__(self) -> Self:
        """Lock the place, and take over what a run of the same request left.

        Raises:
            OutputError: another run is at it, or it cannot be written to.
        """
        self._locked = LockedFolder(self._place, self.out, MEMBERS)
        try:
            with writing(self._place):
                if self._held().get("identity") != self._identity:
                    self._clear()
                    self._keep("asked.json", {"format": MARK, "identity": self._identity, "replacing": self.replacing})
                if not self._there:
                    for name in FILES[1:]:
                        (self._place / name).unlink(missing_ok=True)
        except BaseException:
            self._locked.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go; what is unfinished stays, unless there is nothing to go on with."""
        if self._locked is None:
            return
        refused = isinstance(error, PenjingError) and not isinstance(error, OutputError)
        nothing = not (self._place / "plan").exists() and not self.is_written
        begun = any(self.stages.glob("*/step-*"))  # states of a training, from which it goes on
        if error is not None and not self.is_written and not begun and (refused or nothing):
            self._locked.remove()
        self._locked.close()

    def plan(self) -> Plan | None:
        """The plan that was kept; None where there is none that can be trusted to be the one."""
        if not self._whole or not (self._place / "plan" / "plan.json").is_file():
            return None
        try:
            return load_plan(self._place / "plan")
        except PlanError:
            log.warning("the plan in %s is damaged; it is made again", self._place)
            return None

    def keep_plan(self, plan: Plan) -> None:
        """Keep the plan; what was measured of another one is forgotten. One that needs much of the disk is not kept.

        Raises:
            OutputError: it cannot be written, or the weights that are there are another plan's.
        """
        if self.is_written and (record_in(self.out) or {}).get("plan_sha256") != plan.digest():
            raise OutputError(
                f"the output {self.out} was made of another plan than the one that is found now, though of the same "
                "request; choose another name, or replace it with force=True (--force)"
            )
        folder = self._place / "plan"
        if not self._whole and folder.exists() and load_plan(folder).digest() != plan.digest():
            for name in FOLDERS:
                rmtree(self._place / name, ignore_errors=True)
        size = sum(t.nbytes for i, edit in enumerate(plan) for t in edit.pack(f"{i}.").tensors.values())
        if size > disk_usage(self._place).free // 4:
            return
        rmtree(folder, ignore_errors=True)
        try:
            save_plan(plan, folder)
        except ValueError:
            rmtree(folder, ignore_errors=True)  # `made` of a method of others is not plain data: the plan is made again

    @property
    def is_written(self) -> bool:
        """Whether the weights have their name."""
        return self._there and (not self.replacing or (self._place / "written.json").exists())

    def keep_written(self) -> None:
        """Note that the weights have their name.

        Raises:
            OutputError: it cannot be written.
        """
        clear_partial(self.out)
        with writing(self._place):
            self._keep("written.json", {})
        self._there = True

    @property
    def reopened(self) -> ReopenResult | None:
        """What opening the result gave; None where that is not known."""
        told = self._read("reopened.json")
        if not told:
            return None
        entries: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
        return ReopenResult(**entries)

    def keep_reopened(self, result: ReopenResult) -> None:
        """Keep what opening the result gave.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self._place):
            self._keep("reopened.json", asdict(result))

    @property
    def parts(self) -> KeptParts:
        """The figures that were taken."""
        return KeptParts(self._place / "parts")

    def keep_log(self, log: Path) -> None:
        """Keep the log of a training for beside the weights, if there is one.

        Raises:
            OutputError: it cannot be written.
        """
        if log.is_file():
            with writing(self.pages):
                self.pages.mkdir(exist_ok=True)
                copyfile(log, self.pages / PAGES[0])

    @property
    def stages(self) -> Path:
        """A folder for what is made on the way: the model before it is healed, the states of training."""
        return self._place / "stages"

    @property
    def pages(self) -> Path:
        """A folder for the pages, until all are there."""
        return self._place / "pages"

    def finish(self) -> None:
        """Put the pages beside the weights, and remove what was kept.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self.out):
            found = {p.name: p for p in self.pages.iterdir()} if self.pages.is_dir() else {}
            for name in sorted(found, key=lambda n: PAGES.index(n) if n in PAGES else -1):
                found[name].replace(self.out / name)
            (self._place / "asked.json").unlink(missing_ok=True)
        if self._locked is not None:
            self._locked.remove()

    def _held(self) -> dict[str, Any]:
        """What `asked.json` says; nothing where it is not ours."""
        found = self._read("asked.json")
        return found if found.get("format") == MARK else {}

    def _read(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self._place / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _keep(self, name: str, table: Mapping[str, Any]) -> None:
        write_whole(self._place / name, json.dumps(table, default=str).encode())

    def _clear(self) -> None:
        """Remove what a run of another request left."""
        if self._held():
            log.warning("removing the unfinished run in %s: it was asked for something else", self._place)
        for name in MEMBERS - {"lock"}:
            path = self._place / name
            rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what a run left that was stopped while it removed it."""
        if self._place.exists():
            held = LockedFolder(self._place, self.out, MEMBERS)
            held.remove()
            held.close()
        clear_partial(self.out)


def _request_in(out: Path, entry: str) -> Any:
    """What the record of a result says under `entry` of the request; None where there is none."""
    asked = (record_in(out) or {}).get(entry)
    return {k: v for k, v in asked.items() if k != "sha256"} if isinstance(asked, dict) else None


def _check_place(out: Path, replacing: bool) -> None:
    try:
        check_output(out)
    except OutputError as error:
        if not out.is_dir() or record_in(out) is None:
            raise
        if not replacing:
            raise OutputError(
                f"the output {out} holds another result of penjing; choose another name, or replace it with "
                "force=True (--force)"
            ) from error
        check_replaceable(out)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    from penjing import __version__

    return {"penjing": __version__, **{name: version(name) for name in ("torch", "transformers")}}
