"""Layouts: which axes of a model move together, derived from its recorded graph.

`from_config` and `from_module` derive one, `prove.proofs.prove` tests it, `hold` finds the config of a smaller model,
`save_layout` and `load_layout` keep it as a table that can be corrected, `rows` prints it.
"""

from typing import TYPE_CHECKING

from penjing.lazy import names_of

if TYPE_CHECKING:
    from penjing.layouts.config.stock import build
    from penjing.layouts.derive import from_module, hold
    from penjing.layouts.known import from_config
    from penjing.layouts.table import load_layout, rows, save_layout

_PLACES = {
    "penjing.layouts.config.stock": ("build",),
    "penjing.layouts.derive": ("from_module", "hold"),
    "penjing.layouts.known": ("from_config",),
    "penjing.layouts.table": ("load_layout", "rows", "save_layout"),
}
__getattr__ = names_of(__name__, _PLACES)

__all__ = ["build", "from_config", "from_module", "hold", "load_layout", "rows", "save_layout"]
