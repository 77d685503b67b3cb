"""A model that was cut is healed: the folder, the report, the record; killed and gone on."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file
from tests.pipeline.healing_home import HOW, MEASURE, bits, healed, home, no_fresh_process
from tests.train.test_resume import in_child, kill_at
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.pipeline import carry_out
from penjing.pipeline.request import Choice, Data, Heal
from penjing.train import minutes
from penjing.train.keeper import Keeper

__all__ = ["home", "no_fresh_process"]


def test_the_weights_move_and_all_else_is_as_it_was(home, tmp_path):
    done = healed(home, tmp_path / "out")
    before, after = (load_file(p / "model.safetensors") for p in (home / "cut", tmp_path / "out"))
    assert set(before) == set(after)
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert moved == set(before) - {"model.embed_tokens.weight"}
    assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == json.loads(
        (home / "cut" / "config.json").read_text()
    )
    assert done.plan.made["healing"]["tokens"] == 640
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    penjing.load(tmp_path / "out")


def test_the_report_has_teacher_before_control_and_after(home, tmp_path):
    wish = Heal(**HOW, control=True)
    report = healed(
        home, tmp_path / "out", how=wish, measure=penjing.Measure(texts=(str(home / "other.txt"),), speed=False,
                                                                  length=32, answers=False),
    ).report  # fmt: skip
    assert [s.name for s in report.subjects] == ["tiny", "out", "cut", "control"]
    values = [s.figure("perplexity").value for s in report.subjects]
    assert values[3] < values[0], "the teacher was trained on, by the loss that is measured"
    first, second = report.notes[:2]
    assert f"{values[2] / values[0]:.3f}" in first
    assert f"{values[1] / values[0]:.3f}" in first
    assert "before healing" in first
    assert f"{values[3] / values[0]:.3f}" in second
    assert f"{values[1] / values[3]:.3f}" in second
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "# out" in card
    log = [json.loads(line) for line in (tmp_path / "out" / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, 11))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "before healing" in page
    assert str(tmp_path) not in page
    told = json.loads((tmp_path / "out" / "penjing.json").read_text())
    assert told["request"]["heal"]["teacher"] == "tiny"
    assert told["made"]["healing"]["method"] == "logits"


def test_cut_and_healed_in_one_go_is_cut_and_then_healed(home, tmp_path):
    wish = Heal(**HOW, texts=(str(home / "text.txt"),))
    done = penjing.shrink(
        home / "tiny", tmp_path / "both", keep=0.5, method="magnitude", heal=wish, measure=False, progress=False
    )
    assert done.plan.keeps()
    healed(home, tmp_path / "after")
    assert bits(tmp_path / "both") == bits(tmp_path / "after")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("moment", ["trained for a while", "trained", "written"])
def test_a_run_that_is_killed_goes_on_to_the_same_bits(home, tmp_path, moment, monkeypatch):
    healed(home, tmp_path / "whole")
    monkeypatch.setattr(Keeper, "due", lambda self: True)

    def dies():
        if moment == "trained for a while":
            Keeper.save = kill_at(6, Keeper.save)
        elif moment == "trained":
            carry_out.verify = kill_at(1, carry_out.verify)
        else:
            carry_out.reopen = kill_at(1, carry_out.reopen)
        healed(home, tmp_path / "out")

    assert in_child(dies) == signal.SIGKILL
    assert (tmp_path / ".out.unfinished").is_dir()
    seen, save = [], Keeper.save

    def counted(self, tensors, facts):
        seen.append(facts["step"])
        return save(self, tensors, facts)

    monkeypatch.setattr(Keeper, "save", counted)
    healed(home, tmp_path / "out")
    assert bits(tmp_path / "out") == bits(tmp_path / "whole")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert seen == (list(range(6, 11)) if moment == "trained for a while" else [])


@pytest.mark.slow  # a cut, and two trainings of two models
def test_a_cut_that_is_healed_goes_on_from_every_stage(home, tmp_path):
    from penjing.pipeline import repair

    wish = Heal(**HOW, texts=(str(home / "text.txt"),), control=True)

    def run(out):
        penjing.shrink(home / "tiny", out, keep=0.5, method="magnitude", heal=wish, measure=False, progress=False)

    run(tmp_path / "whole")

    def dies(place, name):
        setattr(place, name, kill_at(1, getattr(place, name)))
        run(tmp_path / "out")

    for place, name in ((repair, "save_plan"), (repair, "healed"), (repair, "_control")):
        assert in_child(lambda place=place, name=name: dies(place, name)) == signal.SIGKILL
    run(tmp_path / "out")
    assert bits(tmp_path / "out") == bits(tmp_path / "whole")


def test_low_rank_additions_are_merged_and_killed_runs_go_on_to_the_same_bits(home, tmp_path, monkeypatch):
    wish = Heal(**HOW, lora=2)
    healed(home, tmp_path / "whole", how=wish)
    before, after = (load_file(p / "model.safetensors") for p in (home / "cut", tmp_path / "whole"))
    assert set(before) == set(after)
    difference = after["model.layers.0.mlp.down_proj.weight"] - before["model.layers.0.mlp.down_proj.weight"]
    size = torch.linalg.svdvals(difference)
    assert float(size[2]) < 1e-3 * float(size[0]), "it is of rank 2"
    monkeypatch.setattr(Keeper, "due", lambda self: True)

    def dies():
        Keeper.save = kill_at(6, Keeper.save)
        healed(home, tmp_path / "out", how=wish)

    assert in_child(dies) == signal.SIGKILL
    healed(home, tmp_path / "out", how=wish)
    assert bits(tmp_path / "out") == bits(tmp_path / "whole")


def test_low_rank_additions_leave_the_zeros_of_a_sparse_model(home, tmp_path, monkeypatch):
    plan = penjing.plan(home / "tiny", method="weight_magnitude", keep=0.5, progress=False)
    penjing.apply(home / "tiny", plan, tmp_path / "sparse", reopening=False, progress=False)
    given = {"teacher": home / "tiny", "texts": [home / "text.txt"], "measure": False, "progress": False}
    wish = Heal(**HOW, lora=2)
    penjing.heal(tmp_path / "sparse", tmp_path / "whole", how=wish, **given)
    before, after = (load_file(tmp_path / f / "model.safetensors") for f in ("sparse", "whole"))
    cut = [n for n, t in before.items() if t.ndim > 1 and (t == 0).float().mean() > 0.4]
    assert len(cut) > 10
    for name in cut:
        assert not after[name][before[name] == 0].any()
        assert not torch.equal(after[name], before[name])
    monkeypatch.setattr(Keeper, "due", lambda self: True)

    def dies():
        Keeper.save = kill_at(6, Keeper.save)
        penjing.heal(tmp_path / "sparse", tmp_path / "out", how=wish, **given)

    assert in_child(dies) == signal.SIGKILL
    penjing.heal(tmp_path / "sparse", tmp_path / "out", how=wish, **given)
    assert bits(tmp_path / "out") == bits(tmp_path / "whole")


def test_blocks_that_went_are_healed_by_hidden_states(home, tmp_path):
    penjing.shrink(
        home / "tiny", tmp_path / "short", measure=False, progress=False, rows=2, length=16,
        choice=Choice(keep=0.5, method="minitron", axes="blocks", allow_sensitive=True),
    )  # fmt: skip
    done = penjing.heal(
        tmp_path / "short", tmp_path / "out", teacher=home / "tiny", method="minitron", texts=[home / "text.txt"],
        how=Heal(**HOW), measure=False, progress=False,
    )  # fmt: skip
    assert done.plan.made["healing"]["loss"][1] < done.plan.made["healing"]["loss"][0]


def test_minutes_are_steps_by_what_a_few_passes_take_and_stay_so(home, tmp_path, monkeypatch):
    monkeypatch.setattr("penjing.train.healing.seconds_of", lambda run, lesson: 6.0)
    wish = Heal(minutes=0.5, length=32)
    monkeypatch.setattr(Keeper, "due", lambda self: True)

    def dies():
        Keeper.save = kill_at(3, Keeper.save)
        healed(home, tmp_path / "out", how=wish)

    assert in_child(dies) == signal.SIGKILL
    monkeypatch.setattr("penjing.train.healing.seconds_of", lambda run, lesson: 1.0)
    done = healed(home, tmp_path / "out", how=wish)
    assert done.plan.made["healing"]["steps"] == 5


def test_a_rehearsal_changes_nothing(home, tmp_path):
    """Five steps that were decided are those of five that were asked for."""
    asked = healed(home, tmp_path / "asked", how=Heal(tokens=5 * 64, length=32))
    with pytest.MonkeyPatch.context() as patch:
        seconds = minutes.seconds_of
        patch.setattr("penjing.train.healing.seconds_of", lambda run, lesson: 0 * seconds(run, lesson) + 12.0)
        healed(home, tmp_path / "decided", how=Heal(minutes=1.0, length=32))
    assert asked.plan.made["healing"]["steps"] == 5
    assert bits(tmp_path / "asked") == bits(tmp_path / "decided")


def test_zeros_of_a_sparse_model_stay(home, tmp_path):
    penjing.shrink(
        home / "tiny", tmp_path / "sparse", keep=0.5, method="weight_magnitude", measure=False, progress=False
    )
    done = penjing.heal(
        tmp_path / "sparse", tmp_path / "out", teacher=home / "tiny", texts=[home / "text.txt"], how=Heal(**HOW),
        measure=MEASURE, progress=False,
    )  # fmt: skip
    before, after = (load_file(tmp_path / n / "model.safetensors") for n in ("sparse", "out"))
    name = "model.layers.0.mlp.down_proj.weight"
    assert bool(((before[name] == 0) == (after[name] == 0)).all())
    assert not torch.equal(before[name], after[name])
    assert any("as many parameters" in note for note in done.report.notes)


def test_a_run_is_repeated_from_its_record_to_the_same_bits(home, tmp_path):
    wish = Heal(**HOW, texts=(str(home / "text.txt"),))
    penjing.shrink(
        home / "tiny", tmp_path / "one", keep=0.5, method="magnitude", heal=wish, measure=False, progress=False
    )
    penjing.run(tmp_path / "one" / "penjing.json", tmp_path / "two", progress=False)
    assert bits(tmp_path / "one") == bits(tmp_path / "two")


def test_the_command_line_and_a_recipe_ask_for_the_same(home, tmp_path):
    words = [
        "heal", home / "cut", "--teacher", home / "tiny", "-o", tmp_path / "typed", "--text", home / "text.txt",
        "--tokens", "640", "--length", "32", "--learning-rate", "0.001", "--no-measure",
    ]  # fmt: skip
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"measure = false\n[source]\nmodel = '{home / 'cut'}'\n[heal]\nteacher = '{home / 'tiny'}'\ntokens = 640\n"
        f"length = 32\nlearning_rate = 0.001\ntexts = ['{home / 'text.txt'}']\n",
        encoding="utf-8",
    )
    penjing.run(recipe, tmp_path / "recipe", progress=False)
    healed(home, tmp_path / "called")
    assert bits(tmp_path / "typed") == bits(tmp_path / "recipe") == bits(tmp_path / "called")
    again = CliRunner().invoke(app, list(map(str, words)))
    assert again.exit_code == 0
    assert "nothing was done" in again.output


def test_a_loss_that_is_no_number_names_the_state_that_is_left(home, tmp_path, monkeypatch):
    from penjing.errors import TrainingError
    from penjing.healers import HEALERS

    of, monkeyed = HEALERS.type_of("logits"), {"n": 0}
    loss = of.loss

    def broken(self, run, *given):
        monkeyed["n"] += 1
        return loss(self, run, *given) * (float("nan") if run.step == 4 else 1)

    monkeypatch.setattr(of, "loss", broken)
    monkeypatch.setattr(Keeper, "due", lambda self: True)
    with pytest.raises(TrainingError, match=r"nan after 4 steps.*the last state before lies in .*step-00000004"):
        healed(home, tmp_path / "out")
    left = sorted(p.name for p in (tmp_path / ".out.unfinished" / "stages" / "training").glob("step-*"))
    assert left == ["step-00000004"], "it is there still"


def test_images_are_healed_on_batches_of_one_s_own(tmp_path, monkeypatch):
    """A classifier of transformers, its batches given from Python."""
    from tests.layouts.zoo import ZOO

    from penjing.layouts.config.stock import build

    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    config = {**ZOO["vit"].config}
    module = build(config, device="cpu")
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)
    module.save_pretrained(tmp_path / "vit")
    penjing.shrink(tmp_path / "vit", tmp_path / "cut", keep=0.5, method="magnitude", measure=False, progress=False)
    pixels = torch.randn(8, 3, 16, 16)
    data = Data(batches=[{"pixel_values": p} for p in pixels.split(4)])
    done = penjing.heal(
        tmp_path / "cut", tmp_path / "out", teacher=tmp_path / "vit", tokens=32, data=data, measure=False,
        progress=False,
    )  # fmt: skip
    told = done.plan.made["healing"]
    assert (told["examples"], told["steps"]) == (32, 8)
    assert told["loss"][1] < told["loss"][0]
