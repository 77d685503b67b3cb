"""Run the jobs in turn and print ratios; `python -m benchmarks.rivals --help`."""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.rivals.checkpoints import SHAPES
from benchmarks.rivals.contests import CASES, FOLDER_FIGURES, FOLDERS, MODULE_FIGURES, between_folders, in_memory
from benchmarks.rivals.environments import python
from benchmarks.rivals.page import page


def main() -> None:
    """Read the options, run, print, write the JSON and the page."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--size", choices=list(SHAPES), default="1GB", help="the checkpoint of the jobs on folders")
    reader.add_argument("--repeats", type=int, default=3)
    reader.add_argument("--threads", type=int, default=2)
    reader.add_argument("--keep", type=float, default=0.75, help="of the width job and the modules")
    reader.add_argument("--cold", action="store_true", help="read the checkpoint from the disk each time")
    reader.add_argument("--only", choices=[*FOLDERS, "modules"], action="append", help="this job, instead of all")
    reader.add_argument("--out", type=Path, default=Path("out/rivals.json"), help="the page goes beside it, as .html")
    told = reader.parse_args()
    wanted = told.only or [*FOLDERS, "modules"]
    for rival in [*(FOLDERS[n].rival for n in wanted if n in FOLDERS), *(["torch-pruning"] * ("modules" in wanted))]:
        python(rival)
    machine = f"{platform.platform()}, {os.cpu_count()} processors"
    found: dict[str, Any] = {"options": {k: str(v) for k, v in vars(told).items()}, "machine": machine}
    for name in FOLDERS:
        if name in wanted:
            found[name] = between_folders(name, told)
            progress(found[name], FOLDER_FIGURES)
    if "modules" in wanted:
        found["modules"] = {}
        for case in CASES:
            found["modules"][case] = in_memory(case, told)
            progress(found["modules"][case], MODULE_FIGURES)
    told.out.parent.mkdir(parents=True, exist_ok=True)
    told.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    shown = told.out.with_suffix(".html")
    shown.write_text(page(found), encoding="utf-8")
    print(f"\nall results, with load and versions: {told.out}\nas a page: {shown}")


def progress(found: dict[str, Any], labels: dict[str, str]) -> None:
    """One contest: a line for each figure with the median ratio and its range, or what went wrong."""
    print(f"\n{found['title']}; {found['rival']} : penjing")
    if found["not_the_same_job"]:
        print(f"  not the same job: {found['not_the_same_job']}")
    for result in found["rounds"][-1]:
        if result["status"] != "ok":
            print(f"  {result['rival']}: {result['status']}: {result['said']}")
    for key, label in labels.items():
        if key in found:
            r = found[key]
            print(f"  {label:16} {r['median']:6.2f}   (from {r['low']:.2f} to {r['high']:.2f})")
    if found.get("tensors_that_differ") is not None:
        print(f"  tensors that differ: {len(found['tensors_that_differ'])}")
    if "parameters_kept" in found:
        print(f"  parameters kept  {found['parameters_kept']}")


if __name__ == "__main__":
    main()
