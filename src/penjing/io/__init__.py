"""Checkpoints in, checkpoints out: files are read and written here and nowhere else."""

from penjing.io.assets import ASSETS, Asset, cached_asset, fetch_asset
from penjing.io.checkpoint import OpenCheckpoint
from penjing.io.finite import check_finite, not_finite
from penjing.io.folder import stock_opens
from penjing.io.opening import open_checkpoint
from penjing.io.plans import check_plan_folder, load_plan, save_plan
from penjing.io.side_files import carry_over, tokenizer_files
from penjing.io.spans import Span, TensorSpec, pack
from penjing.io.workspace import check_output
from penjing.io.writer import write_folder

__all__ = [
    "ASSETS", "Asset", "OpenCheckpoint", "Span", "TensorSpec", "cached_asset", "carry_over", "check_finite",
    "check_output", "check_plan_folder", "fetch_asset", "load_plan", "not_finite", "open_checkpoint", "pack",
    "save_plan", "stock_opens", "tokenizer_files", "write_folder",
]  # fmt: skip
