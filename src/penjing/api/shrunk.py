"""What shrinking, healing and training give."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from torch import nn

from penjing.core import Plan, Report
from penjing.core.printing import short
from penjing.pipeline.carry_out import Applied
from penjing.report import headline


@dataclass(frozen=True, kw_only=True, repr=False)
class Shrunk:
    """What `shrink` gives: the plan and the report, and the folder, or the smaller module.

    `code` is Python that gives a module its smaller shapes again, for what `torch.save(module.state_dict())` saved; it
    is empty for a folder, and where parts of the module are gone. `files` tells of each file for another runtime.
    """

    plan: Plan
    folder: Path | None = None
    module: nn.Module | None = None
    report: Report | None = None
    applied: Applied | None = None
    code: str = ""
    files: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        """What was made, and the answer in a sentence."""
        made = f"the folder {self.folder}" if self.folder is not None else f"a {type(self.module).__name__}"
        return short(f"Shrunk({made}: {headline(self.report) if self.report is not None else repr(self.plan)})")

    def _repr_html_(self) -> str:
        """For notebooks: the answer, a small table of figures, and how wide things are now."""
        if self.report is None:
            return self.plan._repr_html_()
        return f"<p>{escape(headline(self.report))}</p>{self.report._repr_html_()}"
