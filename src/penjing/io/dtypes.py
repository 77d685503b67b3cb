"""The dtype codes of the safetensors format and what they are in torch; older versions of torch lack the last ones."""

import torch

from penjing.io.spans import KINDS

DTYPES: dict[str, torch.dtype] = {
    code: getattr(torch, name) for code, (name, _) in KINDS.items() if hasattr(torch, name)
}
CODES: dict[torch.dtype, str] = {dtype: code for code, dtype in DTYPES.items()}
