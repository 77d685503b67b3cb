"""What every format must do, the one in a file that was added a minute ago included."""

import pytest
import torch
from torch import nn

from penjing.errors import ExportError
from penjing.exporters.exporter import Exporter, check, graph_of
from penjing.exporters.formats import FORMATS


class Net(nn.Module):
    """A small network whose output is a tuple, with an argument that is no tensor."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3)

    def forward(self, x, double=False):
        out = self.two(torch.nn.functional.gelu(self.norm(self.one(x))))
        return (2 * out if double else out, x)


@pytest.fixture
def graph():
    return graph_of(Net(), {"x": torch.randn(2, 6), "double": True})


GRAPHS = [name for name in FORMATS.names() if isinstance(FORMATS.load(name).EXPORTER, Exporter)]
"""Those that hold the graph of any module; others have tests of their own."""


@pytest.mark.parametrize("name", GRAPHS)
def test_a_file_of_it_computes_what_the_module_does_for_any_batch(name, graph, tmp_path):
    module, inputs = graph
    exporter = FORMATS.load(name).EXPORTER
    path = tmp_path / f"net{exporter.suffix}"
    exporter.write(module, inputs, path)
    found = check(exporter, path, module, [inputs, {"x": torch.randn(5, 6)}])
    assert found.bytes == path.stat().st_size
    assert len(found.compared) == 2
    assert found.difference < 1e-5


@pytest.mark.parametrize("name", FORMATS.names())
def test_how_it_is_opened_is_python(name):
    exporter = FORMATS.load(name).EXPORTER
    compile(exporter.opens.replace("FILE", "'net'"), name, "exec")
    assert exporter.suffix.startswith(".") or exporter.suffix == ""


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda path, inputs: inputs["x"][:, :3] * 0, "computes something else"),
        (lambda path, inputs: inputs["x"], r"gives \[2, 6\] at x \[2, 6\], needed \[2, 3\]"),
        (lambda path, inputs: 1 / 0, "does not run at x"),
        (lambda path, inputs: inputs["x"][:, :3] * float("nan"), "computes something else"),
    ],
)
def test_a_file_that_computes_something_else_is_refused(run, said, graph, tmp_path):
    module, inputs = graph
    wrong = Exporter(suffix=".x", opens="", write=lambda *_: None, run=run)
    path = tmp_path / "net.x"
    path.write_bytes(b"0")
    with pytest.raises(ExportError, match=said):
        check(wrong, path, module, [inputs])
