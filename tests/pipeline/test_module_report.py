"""A module that is shrunk in memory has a report as a folder has."""

import torch
from torch import nn

import penjing

X = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)).eval()


def shrunk(**options):
    return penjing.shrink(net(), example=X, method="magnitude", keep=0.5, settings={"multiple": 1}, **options)


def figures(report, name):
    return [s.figure(name) and s.figure(name).value for s in report.subjects]


def test_it_counts_both_modules():
    done = shrunk(speed=False)
    assert figures(done.report, "parameters") == [16 * 6 + 3 * 17, 8 * 6 + 3 * 9]
    assert figures(done.report, "bytes") == [4 * n for n in (16 * 6 + 3 * 17, 8 * 6 + 3 * 9)]
    assert figures(done.report, "macs") == [16 * 8, 8 * 8]
    ratios = {r.name: r.value for r in done.report.ratios}
    assert ratios["macs_ratio"] == 0.5


def test_it_tells_how_far_the_outputs_moved():
    done = shrunk(speed=False)
    with torch.no_grad():
        wanted, given = net()(X), done.module(X)
    assert figures(done.report, "output_difference")[0] is None
    torch.testing.assert_close(
        torch.tensor(figures(done.report, "output_difference")[1]), (given - wanted).norm() / wanted.norm()
    )


def test_passes_are_timed_unless_that_is_not_asked_for():
    assert all(value > 0 for value in figures(shrunk().report, "forward_seconds"))
    untimed = shrunk(speed=False).report.subjects[0].figure("forward_seconds")
    assert (untimed.value, untimed.note) == (None, "speed was not asked for")


def test_nothing_is_measured_where_that_is_asked_for():
    assert shrunk(measure=False).report is None


def test_the_page_takes_it(tmp_path):
    from penjing.report import save

    save(shrunk(speed=False).report, tmp_path)
    assert "output_difference" in (tmp_path / "report.json").read_text()
    assert (tmp_path / "report.html").stat().st_size > 0
