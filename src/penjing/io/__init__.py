"""Checkpoints in, checkpoints out: files are read and written here and nowhere else."""

from typing import TYPE_CHECKING

from penjing.lazy import names_of

if TYPE_CHECKING:
    from penjing.io.assets import ASSETS, Asset, cached_asset, fetch_asset
    from penjing.io.checkpoint import OpenCheckpoint
    from penjing.io.contents import Contents, read_contents
    from penjing.io.finite import check_finite, not_finite
    from penjing.io.folder import stock_opens
    from penjing.io.locked import LockedFolder
    from penjing.io.opening import open_checkpoint
    from penjing.io.plans import check_plan_folder, load_plan, save_plan
    from penjing.io.quantised import quantisation, refuse_quantised
    from penjing.io.results import RECORD, check_replaceable, record_in
    from penjing.io.shard_file import writing
    from penjing.io.side_files import carry_over, tokenizer_files
    from penjing.io.spans import Span, TensorSpec, pack
    from penjing.io.workspace import check_output, clear_partial, outside, write_whole
    from penjing.io.writer import write_folder

_PLACES = {
    "penjing.io.assets": ("ASSETS", "Asset", "cached_asset", "fetch_asset"),
    "penjing.io.checkpoint": ("OpenCheckpoint",),
    "penjing.io.contents": ("Contents", "read_contents"),
    "penjing.io.finite": ("check_finite", "not_finite"),
    "penjing.io.folder": ("stock_opens",),
    "penjing.io.locked": ("LockedFolder",),
    "penjing.io.opening": ("open_checkpoint",),
    "penjing.io.plans": ("check_plan_folder", "load_plan", "save_plan"),
    "penjing.io.quantised": ("quantisation", "refuse_quantised"),
    "penjing.io.results": ("RECORD", "check_replaceable", "record_in"),
    "penjing.io.shard_file": ("writing",),
    "penjing.io.side_files": ("carry_over", "tokenizer_files"),
    "penjing.io.spans": ("Span", "TensorSpec", "pack"),
    "penjing.io.workspace": ("check_output", "clear_partial", "outside", "write_whole"),
    "penjing.io.writer": ("write_folder",),
}
__getattr__ = names_of(__name__, _PLACES)

__all__ = [
    "ASSETS", "RECORD", "Asset", "Contents", "LockedFolder", "OpenCheckpoint", "Span", "TensorSpec", "cached_asset",
    "carry_over", "check_finite", "check_output", "check_plan_folder", "check_replaceable", "clear_partial",
    "fetch_asset", "load_plan", "not_finite", "open_checkpoint", "outside", "pack", "quantisation", "read_contents",
    "record_in", "refuse_quantised", "save_plan", "stock_opens", "tokenizer_files", "write_folder", "write_whole",
    "writing",
]  # fmt: skip
