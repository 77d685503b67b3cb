"""penjing measure."""

from typing import Annotated

from penjing.cli import options as o
from penjing.cli.flags import Called, Only, Without
from penjing.pipeline.asking import Against
from penjing.pipeline.request import Measure, Run, Source

Figures = Annotated[Measure, Without("licence"), Called(texts="--text", length="--length")]
"""What is measured, where nothing is calibrated: its text is the only one."""


def run(
    source: Annotated[Source, Only("model", "revision")],
    figures: Figures,
    other: Against,
    running: Annotated[Run, Without("memory", "output_dtype")],
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """Show parameters, bytes, multiply-adds, cache, perplexity, tasks, prefill and decode time, peak memory.

    A GGUF or ONNX file is measured in llama.cpp or onnxruntime.
    """
    from penjing.api.steps import measured_alone
    from penjing.cli.console import command_line
    from penjing.cli.output import show_report
    from penjing.cli.run_folder import following
    from penjing.pipeline.values import evidence_of

    wish = evidence_of(figures)
    with following(runs, "measure", str(source.model)) as followed:
        report = measured_alone(
            source, wish, running, against=None if other.against is None else Source(model=other.against),
            notes=figures.notes, command=command_line(), progress=followed.progress, so_far=followed.so_far,
        )  # fmt: skip
    show_report(report, as_json=as_json)
