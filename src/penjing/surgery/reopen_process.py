"""What runs in the fresh process: open a folder with the stock loader alone, compute, and write what came out.

The text of this file is handed to a new interpreter; it imports nothing of this package, and makes sure that
nothing else can. Only a folder that no stock loader opens is opened with `penjing.load`.
"""

import json
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any


class Blocked(MetaPathFinder):
    """Makes one package impossible to import."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Refuse the package.

        Raises:
            ImportError: always, for the package and what is in it.
        """
        if fullname.partition(".")[0] == "penjing":
            raise ImportError("penjing is blocked in this process")
        return None


def _by_stock(folder: str, found: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import transformers

    names = json.loads((Path(folder) / "config.json").read_text()).get("architectures") or []
    loader = getattr(transformers, names[0]) if names else transformers.AutoModel
    found["loader"] = loader.__name__
    return loader.from_pretrained(folder, dtype="auto", local_files_only=True, output_loading_info=True)


def _by_penjing(folder: str, found: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import penjing

    found["loader"] = "penjing.load"
    return penjing.load(folder), {}  # which itself refuses a name too many or too few


def main(task: dict[str, Any]) -> None:
    """Open `task["folder"]`, run it on the tensors in `task["inputs"]`, write `task["out"]` and its JSON twin."""
    if task["package"]:
        sys.path.insert(0, task["package"])
    else:
        sys.meta_path.insert(0, Blocked())
    import safetensors.torch
    import torch
    import transformers

    torch.set_num_threads(task["threads"])
    transformers.utils.logging.set_verbosity_error()
    found: dict[str, Any] = {"versions": {"transformers": transformers.__version__, "torch": str(torch.__version__)}}
    module, info = (_by_penjing if task["package"] else _by_stock)(task["folder"], found)
    found |= {k: sorted(str(x) for x in info.get(f"{k}_keys", ())) for k in ("missing", "unexpected", "mismatched")}
    if task["inputs"]:
        inputs = safetensors.torch.load_file(task["inputs"])
        with torch.inference_mode():
            out = module.eval()(**inputs)
        first = getattr(out, "logits", None)
        first = getattr(out, "last_hidden_state", None) if first is None else first
        first = out[0] if first is None else first
        safetensors.torch.save_file({"output": first.contiguous()}, task["out"])
    Path(task["told"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
