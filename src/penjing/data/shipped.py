"""The public-domain texts that come with penjing."""

from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).parent / "texts"
PARTS = {"calibration": "calibration-*.txt", "evaluation": "evaluation-*.txt"}


def shipped(part: Literal["calibration", "evaluation"] = "calibration") -> list[Path]:
    """The files of one part, in order; nothing in "evaluation" occurs in "calibration".

    "evaluation" is two files: `evaluation-speeches.txt`, of the kind of the calibration text, and
    `evaluation-novel.txt`, of another kind.
    """
    return sorted(FOLDER.glob(PARTS[part]), reverse=part == "evaluation")
