"""Choosing calibration data: nothing held out is calibrated on, KL is the loop's, ties are told, nothing runs twice."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.house.tiny import tiny_model
from torch import nn

from penjing.core import Budget
from penjing.core.progress import silent
from penjing.data import read_texts, shipped
from penjing.data.text import shared_passage
from penjing.errors import DataError, OutputError, PenjingError
from penjing.pipeline.request import Choice, Data, Request, Source
from penjing.planning import gathering
from penjing.planning.examples import token_batches
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.report.data_selection import check_rows, plan_command, said, save_rows
from penjing.running.live import Running
from penjing.running.source import resolve
from penjing.running.stock import load
from penjing.search import data_selection as selecting
from penjing.search.candidates import Search, draw
from penjing.search.data_selection import rank, select_data
from penjing.surgery import apply as cut

FEW = Search(candidates=4, held_out=6)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return resolve(tiny_model(tmp_path_factory.mktemp("selecting") / "model"))


def order(**changes):
    given = {"method": "nirvana", "budget": Budget(keep=0.5), "settings": {}, "rows": 5, "length": 16}
    return Order(**{**given, **changes})


@pytest.fixture(scope="module")
def found(source, tmp_path_factory):
    return select_data(source, order(), FEW, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def files(tmp_path):
    """Two halves of the shipped text, which share nothing."""
    text = read_texts(shipped("calibration"))[0]
    out = []
    for name, part in (("one.txt", text[:6000]), ("two.txt", text[20000:26000])):
        (tmp_path / name).write_text(part, encoding="utf-8")
        out.append(tmp_path / name)
    return tuple(out)


def rows_of(batches):
    return [tuple(r) for b in batches for r in b.tolist()]


@settings(max_examples=15)
@given(seed=st.integers(0, 50), draws=st.integers(2, 6), rows=st.integers(1, 8), length=st.sampled_from([8, 16, 40]))
def test_nothing_held_out_is_in_any_candidate(source, tmp_path_factory, seed, draws, rows, length):
    short = tmp_path_factory.mktemp("text") / "short.txt"
    short.write_text(read_texts(shipped("calibration"))[0][: (draws * rows + 9) * length], encoding="utf-8")
    asked = order(seed=seed, rows=rows, length=length, texts=(short,))
    drawn = draw(
        source, asked, Search(candidates=draws, held_out=6), cache=tmp_path_factory.mktemp("c"), progress=silent
    )
    held = rows_of(drawn.parted.batches)
    assert len(set(held)) == len(held) == 6
    assert len(drawn.candidates) == draws
    for candidate in drawn.candidates:
        assert not set(held) & set(map(tuple, candidate.ids.tolist()))


def test_what_is_held_out_does_not_depend_on_the_seed_of_the_candidates(source, tmp_path):
    few = Search(candidates=2, held_out=6)
    one, two = (
        rows_of(draw(source, order(seed=s), few, cache=tmp_path, progress=silent).parted.batches) for s in (0, 7)
    )
    assert one == two  # of so much text no candidate takes any of these


def test_a_candidate_is_what_plan_draws_with_its_seed(source, found, tmp_path):
    drawn = draw(source, order(), FEW, cache=tmp_path, progress=silent)
    for candidate in drawn.candidates:
        ids, _ = token_batches(source, order(seed=candidate.order.seed), tmp_path, silent)
        assert torch.equal(ids, candidate.ids)
    best = found.tried[0]
    plan = make_plan(source, order(seed=best.seed), cache=tmp_path)
    assert plan.digest() == best.plan


def test_the_divergence_is_that_of_a_loop_over_tokens(source, found, tmp_path):
    drawn = draw(source, order(), FEW, cache=tmp_path, progress=silent)
    whole = load(source.weights().folder, dtype=torch.float32).eval()
    for tried in found.tried:
        plan = make_plan(source, order(seed=tried.seed), cache=tmp_path)
        small = cut(whole, source.layout, plan).eval()
        means = []
        for row in rows_of(drawn.parted.batches):
            tokens = torch.tensor([row])
            with torch.no_grad():
                before, after = whole(tokens).logits[0], small(tokens).logits[0]
            total = 0.0
            for one, other in zip(before.double(), after.double(), strict=True):
                p, q = torch.softmax(one, 0), torch.softmax(other, 0)
                total += sum(float(a * (a / b).log()) for a, b in zip(p, q, strict=True))
            means.append(total / len(row))
        mean = sum(means) / len(means)
        error = (sum((m - mean) ** 2 for m in means) / (len(means) - 1) / len(means)) ** 0.5
        # logarithms of some 1e-7 of rounding each, in float32; the differences between candidates are larger
        assert tried.divergence == pytest.approx(mean, rel=1e-4, abs=1e-7)
        assert tried.error == pytest.approx(error, rel=1e-2, abs=5e-8)
        assert tried.low < mean < tried.high


def test_the_best_comes_first_and_the_rest_is_plain_data(found):
    values = [t.divergence for t in found.tried]
    assert values == sorted(values)
    assert found.tried[0].verdict == "best"
    for t in found.tried[1:]:
        assert t.behind[0] == pytest.approx(t.divergence - values[0])
        assert t.behind[1] <= t.behind[0] <= t.behind[2]
    told = json.loads(json.dumps(found.to_json()))
    assert told["held_out"]["rows"] == told["examples"] == 6
    assert told["made_again"]["budget"] == {"keep": 0.5}
    assert "texts" not in told
    assert found.cost["passes"] == found.cost["tries"] == 4


def test_a_second_run_runs_nothing(source, tmp_path, monkeypatch):
    first = select_data(source, order(), FEW, cache=tmp_path)
    ran = []
    monkeypatch.setattr(Running, "values", lambda *a, **k: ran.append("values"))
    monkeypatch.setattr(gathering, "Pass", lambda *a, **k: ran.append("pass"))
    again = select_data(source, order(), FEW, cache=tmp_path)
    assert again.tried == first.tried
    assert not ran
    assert again.cost["passes"] == again.cost["tries"] == 0


def test_a_stopped_run_goes_on(source, tmp_path):
    def stop(what, done, total):
        if what == "trying calibration data" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        select_data(source, order(), FEW, cache=tmp_path, progress=stop)
    assert select_data(source, order(), FEW, cache=tmp_path).cost["tries"] == 1


def told_of(values, names=None):
    ranked = rank(names or [f"seed {i}" for i in range(len(values))], values)
    plans = [selecting.replace(t, plan=t.name) for t in ranked]
    return selecting.Selection(
        model="m", method="nirvana", settings={}, budget={"keep": 0.5}, tried=tuple(plans), held_out={}, examples=4,
        cost={}, made_again={},
    )  # fmt: skip


def test_ties_are_called_ties_and_clear_ones_are_not():
    g = torch.Generator().manual_seed(0)
    base = torch.rand(30, generator=g)
    values = torch.stack([base + 0.001 * torch.randn(30, generator=g) for _ in range(3)] + [base + 0.5])
    found = told_of(values)
    assert [t.verdict for t in found.tried] == ["best", "tie", "tie", "worse"]
    assert len(found.ties) == 2
    assert "ties with 2 of 3 others" in said(found)
    assert "the choice means nothing" in said(told_of(values[:3]))
    assert "clearly less than the other" in said(told_of(values[2:]))


def test_equal_plans_are_said_to_be_equal():
    found = told_of(torch.rand(30).expand(3, -1))
    same = selecting.replace(found, tried=tuple(selecting.replace(t, plan="one") for t in found.tried))
    assert [t.p for t in same.tried] == [None, 1.0, 1.0]
    assert "the same plan" in said(same)


def test_candidates_that_do_not_differ_are_seldom_called_worse():
    wrong = 0
    for seed in range(100):
        g = torch.Generator().manual_seed(seed)
        base = torch.randn(40, generator=g).exp()
        values = base * (1 + 0.1 * torch.randn(10, 40, generator=g))
        wrong += any(t.verdict == "worse" for t in rank([str(i) for i in range(10)], values))
    assert wrong <= 8  # 5 % are allowed; 9 or more of 100 then come up once in 16 times at worst


def test_each_file_is_a_candidate_and_each_gives_what_is_held_out(source, files, tmp_path):
    search = Search(each=True, held_out=6)
    found = select_data(source, order(texts=files), search, cache=tmp_path)
    assert {t.name for t in found.tried} == {"one.txt", "two.txt"}
    assert found.made_again["texts"] == [str(tmp_path / found.tried[0].name)]
    held = rows_of(draw(source, order(texts=files), search, cache=tmp_path, progress=silent).parted.batches)
    whole = ["".join(read_texts([f])) for f in files]
    reader = selecting.draw(source, order(texts=files), search, cache=tmp_path, progress=silent).reader
    assert [sum(reader.decode(r) in w for r in held) for w in whole] == [3, 3]
    twice = select_data(source, order(texts=files), selecting.replace(search, candidates=2), cache=tmp_path)
    assert {t.name for t in twice.tried} == {f"{n}.txt, seed {s}" for n in ("one", "two") for s in (0, 1)}


def test_text_that_repeats_at_another_place_is_not_held_out(source, files, tmp_path):
    """A row may hold what a candidate's row of another file says, cut elsewhere."""
    copy = tmp_path / "copy.txt"
    text = files[0].read_text(encoding="utf-8")
    copy.write_text(text[:150] + text + "and more of another kind, " * 200, encoding="utf-8")
    asked = order(texts=(files[0], copy), length=128, rows=20)
    drawn = draw(source, asked, Search(each=True, held_out=4), cache=tmp_path, progress=silent)
    said_by = [t for c in drawn.candidates for t in c.texts]
    for row in rows_of(drawn.parted.batches):
        assert not shared_passage(said_by, [drawn.reader.decode(row)])


def test_held_out_text_is_taken_and_refused_where_it_overlaps(source, files, tmp_path):
    search = Search(candidates=2, held_out=6, held_out_texts=files[1:])
    found = select_data(source, order(texts=files[:1]), search, cache=tmp_path)
    assert found.held_out["files"] == ["two.txt"]
    with pytest.raises(DataError, match=r"share [\d,]+ characters"):
        select_data(source, order(texts=files), search, cache=tmp_path)


@pytest.mark.parametrize(
    ("changes", "search", "match"),
    [
        ({}, Search(candidates=1), "found 1 candidate.*needed 2 or more"),
        ({}, Search(candidates=0), "found 0 candidates"),
        ({}, Search(held_out=1), "found 1 rows to hold out"),
        ({"method": "magnitude"}, FEW, "reads no data"),
        ({"method": "auto"}, FEW, "found method 'auto'"),
        ({"method": "nirwana"}, FEW, "did you mean 'nirvana'"),
        ({"budget": Budget(keep=1.0)}, FEW, "leave every output as it was"),
        ({"rows": 4000, "length": 64}, FEW, r"needed 4001 or more to draw 4000 in 4 ways"),
    ],
)
def test_what_does_not_serve_is_refused(source, tmp_path, changes, search, match):
    with pytest.raises(PenjingError, match=match):
        select_data(source, order(**changes), search, cache=tmp_path)


def test_too_little_text_says_how_much_is_enough(source, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text(read_texts(shipped("calibration"))[0][:640], encoding="utf-8")
    with pytest.raises(DataError, match=r"found \d+ rows of 16 tokens.*56 rows \(896 tokens\) are always enough"):
        select_data(source, order(texts=(short,)), Search(candidates=4, held_out=36), cache=tmp_path)
    with pytest.raises(DataError, match="2 candidates and 1 held-out"):
        rank(["a", "b"], torch.rand(2, 1))
    with pytest.raises(DataError, match="'b' is not finite"):
        rank(["a", "b"], torch.tensor([[0.1, 0.2], [0.1, float("nan")]]))


def test_enough_is_always_enough(source, tmp_path):
    text = tmp_path / "enough.txt"
    text.write_text(read_texts(shipped("calibration"))[0][: 56 * 16], encoding="ascii", errors="replace")
    found = draw(source, order(texts=(text,)), Search(candidates=4, held_out=36), cache=tmp_path, progress=silent)
    assert len(rows_of(found.parted.batches)) == 36


def test_the_rows_are_written_for_text(source, found, tmp_path):
    place = tmp_path / "new" / "rows.jsonl"
    check_rows(place)
    told = save_rows(found, place)
    assert "reads them as the same tokens" in told
    ids, _ = token_batches(source, order(texts=(place,)), tmp_path, silent)
    assert [tuple(r) for r in ids.tolist()] == list(found.tokens)
    for wrong in (place, tmp_path / "rows.txt"):
        with pytest.raises(OutputError):
            check_rows(wrong)
    assert "2 of them are other tokens" in save_rows(selecting.replace(found, same_tokens=3), tmp_path / "b.jsonl")


def test_the_command_says_all_that_was_asked(found):
    choice = Choice(
        method="nirvana", keep=0.5, axes="neurons.*", protect=("a", "b"), allow_sensitive=True,
        settings={"gamma": 1.5, "note": "true"},
    )  # fmt: skip
    asked = Request(source=Source(model="my model"), choice=choice, data=Data(batch=2, rows=5, length=16))
    made_again = {**found.made_again, "texts": ["a b.txt"]}
    words = plan_command(selecting.replace(found, made_again=made_again), asked)
    assert words == (
        "penjing plan 'my model' -o plan --method nirvana --keep 0.5 --axes 'neurons.*' --protect a,b --set gamma=1.5 "
        "--set 'note=\"true\"' --allow-sensitive --text 'a b.txt' --rows 5 --length 16 --batch 2 "
        f"--seed {found.tried[0].seed}"
    )


def own():
    net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 4))
    return net, list(torch.randn(80, 6).split(10))


@pytest.mark.parametrize("each", [True, False])
def test_batches_of_ones_own(tmp_path, each):
    net, data = own()
    before = {n: p.clone() for n, p in net.state_dict().items()}
    asked = order(method="activation", settings={"axes": "*"}, batches=data, rows=20)
    own_source = resolve(net, example=data[0])
    found = select_data(
        own_source, asked, Search(candidates=None if each else 3, each=each), cache=tmp_path, module=net
    )
    assert len(found.tried) == (8 if each else 3)
    assert found.examples == 20
    kept = torch.cat([b[[i for i in range(10) if (10 * k + i) % 4 != 3]] for k, b in enumerate(data)])
    drawn = draw(own_source, asked, Search(candidates=3), cache=tmp_path, progress=silent)
    for candidate in drawn.candidates:
        assert torch.equal(torch.cat(list(candidate.order.batches)), kept[list(candidate.places)])
    assert all(torch.equal(p, before[n]) for n, p in net.state_dict().items())


def test_too_few_examples_are_refused(tmp_path):
    net, data = own()
    asked = order(method="activation", settings={"axes": "*"}, batches=data, rows=60)
    with pytest.raises(DataError, match="needed 61 or more"):
        select_data(resolve(net, example=data[0]), asked, FEW, cache=tmp_path, module=net)
    with pytest.raises(DataError, match="data="):
        draw(resolve(net, example=data[0]), order(), FEW, cache=tmp_path, progress=silent)


def test_images_are_held_out_by_name(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=16, patch_size=8,
        num_labels=3,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "vit")
    draws = np.random.default_rng(0)
    np.savez(tmp_path / "p.npz", x=draws.integers(0, 256, (30, 16, 16, 3), dtype=np.uint8), y=np.arange(30) % 3)
    vit = resolve(tmp_path / "vit")
    asked = order(method="activation", images=(tmp_path / "p.npz",), rows=8)
    found = select_data(vit, asked, Search(candidates=3, held_out=6), cache=tmp_path / "c")
    assert found.examples == 6
    again = make_plan(vit, order(method="activation", images=asked.images, rows=8, seed=found.tried[0].seed),
                      cache=tmp_path / "c")  # fmt: skip
    assert again.digest() == found.tried[0].plan
    assert "--images" in plan_command(found, Request(source=Source(model="vit")))
    with pytest.raises(DataError, match="hold out and 29 are needed"):
        select_data(vit, asked, Search(candidates=3, held_out=29), cache=tmp_path / "c")
    with pytest.raises(DataError, match="images="):
        draw(vit, order(), FEW, cache=tmp_path, progress=silent)
