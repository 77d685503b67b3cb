"""Layouts: which axes of a model move together, derived from its exported graph.

`from_config` and `from_module` derive one, `prove` tests it, `hold` finds the config of a smaller model,
`save_layout` and `load_layout` keep it as a table that can be corrected, `rows` prints it.
"""

from penjing.layouts.config.stock import build
from penjing.layouts.derive import from_config, from_module, hold
from penjing.layouts.prove.proofs import prove
from penjing.layouts.table import load_layout, rows, save_layout

__all__ = ["build", "from_config", "from_module", "hold", "load_layout", "prove", "rows", "save_layout"]
