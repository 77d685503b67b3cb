"""Plans carried out: checked first, then streamed from files to files or done in memory, then opened again."""

from penjing.surgery.graphs import as_graph
from penjing.surgery.memory import apply, masked, stock_config
from penjing.surgery.outcome import Outcome, work_out
from penjing.surgery.recipe import Recipe
from penjing.surgery.reopen import ReopenResult, reopen
from penjing.surgery.stream import stream
from penjing.surgery.verify import Costs, Verified, verify

__all__ = [
    "Costs",
    "Outcome",
    "Recipe",
    "ReopenResult",
    "Verified",
    "apply",
    "as_graph",
    "masked",
    "reopen",
    "stock_config",
    "stream",
    "verify",
    "work_out",
]
