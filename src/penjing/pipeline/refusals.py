"""What a request asks for that nothing can do, refused before any work."""

from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.errors import RequestError
from penjing.pipeline.exports import check_wish, rounding
from penjing.pipeline.request import Measure, Request
from penjing.pipeline.values import module_of
from penjing.running.source import Source, as_folder


def check_graph_wish(request: Request) -> None:
    """Refuse to cut a graph where there is none.

    Raises:
        RequestError: the model is no module in memory with an example, or a folder is to be written.
    """
    asked = request.source
    if asked.graph and (module_of(asked) is None or request.out is not None or asked.example is None):
        raise RequestError("graph=True takes a module in memory and an example of its inputs, and no folder to write")


def check_module_wish(request: Request) -> None:
    """Refuse what is not done to a module in memory.

    Raises:
        RequestError: it is to be healed or exported; texts, images or tasks are named; or the metric cannot be called.
    """
    measure = request.measure
    if request.export.to:
        raise RequestError("a folder is exported, and this is a module in memory; write one with out=...")
    if request.heal is not None:
        raise RequestError("a folder is healed, and this is a module in memory; write one with out=...")
    if measure is None:
        return
    if measure.texts or measure.tasks:
        raise RequestError(
            "texts and tasks are measured on folders, and this is a module in memory; pass held_out=[...] and "
            "metric=..., or write a folder with out=..."
        )
    if measure.metric is not None and not callable(measure.metric):
        raise RequestError(f"metric is a {type(measure.metric).__name__}; needed a callable that takes a module")


def check_folder_wish(measure: Measure | None) -> None:
    """Refuse what only a module in memory is measured on.

    Raises:
        RequestError: it is asked for.
    """
    if measure is not None and (measure.metric is not None or measure.held_out is not None):
        raise RequestError(
            "metric and held_out measure a module that is given back, and an output folder was named, which is "
            "measured by texts and tasks; leave the folder out, and save the smaller module's state_dict"
        )


def check_export_wish(request: Request, source: Source, progress: Progress = silent) -> None:
    """Refuse files that cannot hold such a model, and say to what widths are rounded for them.

    Raises:
        ExportError: a format has no such model, or the widths that are typed do not suit it.
        PenjingError: there is no such format, or it needs a package that is not installed.
    """
    if not request.export.to:
        return
    cuts = request.heal is None or request.heal.teacher is None
    progress("looking at what is to be exported", 0, 0)
    folder = as_folder(source, cache_folder(), progress)
    found = check_wish(request.export.to, request.choice, source, cuts=cuts, folder=folder)
    if cuts and (said := rounding(request.choice, found)):
        progress(said, 0, 0)
