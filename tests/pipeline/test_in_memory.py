"""A module in memory gets a report, saves as torch saves, and code that makes its shapes again."""

import pytest
import torch
from torch import nn

import penjing
from penjing.errors import RequestError
from penjing.pipeline.request import Measure
from penjing.profiling.module_time import forward_times


class Small(nn.Module):
    """A convolution, its norm, and a head that shares nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Small().eval()


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
ASKED = {"method": "magnitude", "keep": 0.5, "settings": {"axes": "*", "multiple": 1}}


def shrunk(net, **more):
    return penjing.shrink(net, example=X, **ASKED, **more)


@torch.no_grad()
def test_the_report_has_sizes_work_time_and_how_far_outputs_moved(net):
    held = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    done = shrunk(net, held_out=held)
    before, after = done.report.subjects
    for subject, module in ((before, net), (after, done.module)):
        assert subject.figure("parameters").value == sum(p.numel() for p in module.parameters())
        assert subject.figure("forward_seconds").value > 0
    assert after.figure("macs").value < before.figure("macs").value
    gap = [net(x) - done.module(x) for x in held]
    wanted = (sum(g.square().sum() for g in gap) / sum(net(x).square().sum() for x in held)).sqrt()
    assert after.figure("output_difference").value == pytest.approx(float(wanted), rel=1e-4)
    same = torch.cat([net(x).argmax(-1) == done.module(x).argmax(-1) for x in held]).float().mean()
    assert after.figure("agreement").value == pytest.approx(float(same))
    assert "held-out batches" in after.figure("output_difference").protocol


def test_a_metric_of_ones_own_is_taken_of_both(net):
    def first_weight(module):
        assert not module.training
        return {"widest": module.conv.out_channels, "none": None}

    done = shrunk(net.train(), metric=first_weight, speed=False)
    assert net.training
    assert [s.figure("metric:widest").value for s in done.report.subjects] == [16, 8]
    assert "NoneType" in done.report.subjects[0].figure("metric:none").note
    assert penjing.shrink(net, example=X, measure=False, **ASKED).report is None


def test_what_does_not_serve_a_module_or_a_folder_is_refused_before_work(net, tmp_path):
    with pytest.raises(RequestError, match="measured on folders"):
        shrunk(net, measure=Measure(texts=("a.txt",)))
    with pytest.raises(RequestError, match="metric is a int"):
        shrunk(net, metric=3)


def test_what_is_kept_of_it_comes_back_without_penjing(net, tmp_path):
    done = shrunk(net, speed=False)
    torch.save(done.module.state_dict(), tmp_path / "small.pt")
    assert "penjing" not in done.code
    space: dict = {}
    exec(done.code, space)
    again = space["smaller"](Small()).eval()
    again.load_state_dict(torch.load(tmp_path / "small.pt", weights_only=True))
    assert torch.equal(again(X), done.module(X))
    assert again.conv.out_channels == again.norm.num_features == 8


def test_it_can_be_exported(net):
    done = shrunk(net, speed=False)
    program = torch.export.export(done.module, (X,))
    torch.testing.assert_close(program.module()(X), done.module(X))


def test_a_stock_module_is_made_again_from_its_config():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    module = LlamaForCausalLM(LlamaConfig(vocab_size=50, max_position_embeddings=64, **sizes))
    done = penjing.shrink(module, method="magnitude", keep=0.5, speed=False)
    assert done.report.subjects[1].figure("agreement").value is not None
    space: dict = {}
    exec(done.code, space)
    again = space["module"]
    again.load_state_dict(done.module.state_dict())
    ids = torch.arange(9)[None]
    assert torch.equal(again.eval()(ids).logits, done.module.eval()(ids).logits)


def test_a_notebook_sees_the_answer_and_a_picture(net):
    done = shrunk(net, speed=False)
    html = done._repr_html_()
    assert "fewer parameters" in html
    assert "<svg" in html
    assert len(html) < 8_000
    assert len(repr(done)) < 2_000


def test_a_time_that_the_null_hides_is_withheld():
    times, ratio = forward_times(lambda: None, lambda: None, protocol="p", subjects=("a", "b"))
    assert all(t.value > 0 for t in times)
    assert ratio.value is None or abs(ratio.details["null"] - 1) < abs(ratio.value - 1)
