"""Recipes are requests as TOML; a run's record repeats it, and is not believed where it was changed."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.house.tiny import tiny_model
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.errors import BudgetError, OutputError, PenjingError, PlanError, RequestError
from penjing.pipeline.recipe import as_toml, read_recipe
from penjing.pipeline.record import read_record
from penjing.pipeline.request import Choice, Data, Heal, Measure, Request, Run, Source

WORDS = "the old king of the small sea rode over a quiet river and found no bridge there "


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a tiny model, a text, and what a recipe makes of them."""
    home = tmp_path_factory.mktemp("recipes")
    tiny_model(home / "model")
    (home / "text.txt").write_text(WORDS * 200, encoding="utf-8")
    (home / "recipe.toml").write_text(
        'version = 1\nout = "from-recipe"\nmeasure = false\n\n[source]\nmodel = "model"\n\n[choice]\nkeep = 0.5\n'
        'method = "activation"\n\n[choice.settings]\nmultiple = 4\n\n'
        '[data]\ntexts = ["text.txt"]\nrows = 4\nlength = 16\n',
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_CACHE", str(home / "cache"))
        call("run", home / "recipe.toml")
        yield home


def call(*words):
    done = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def contents(folder):
    """All but the card, which tells of the day."""
    return {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir()) if p.name != "README.md"}


def written(home, text):
    path = home / "changed.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(home, tmp_path, change):
    """A copy of the record with something else in it."""
    table = json.loads((home / "from-recipe" / "penjing.json").read_text(encoding="utf-8"))
    change(table)
    path = tmp_path / "penjing.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


def test_a_recipe_a_command_and_python_make_the_same_bytes(home, tmp_path):
    call(
        "shrink", home / "model", "-o", tmp_path / "typed", "--keep", 0.5, "--set", "multiple=4", "--text",
        home / "text.txt", "--rows", 4, "--length", 16, "--no-measure",
    )  # fmt: skip
    penjing.shrink(
        home / "model", tmp_path / "called", keep=0.5, settings={"multiple": 4}, texts=[home / "text.txt"], rows=4,
        length=16, measure=False,
    )  # fmt: skip
    wanted = contents(home / "from-recipe")
    assert "penjing.json" in wanted
    assert contents(tmp_path / "typed") == wanted
    assert contents(tmp_path / "called") == wanted


def test_a_record_repeats_its_run_to_the_same_bytes(home, tmp_path):
    call("run", home / "from-recipe" / "penjing.json", "-o", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(home / "from-recipe")


def test_a_record_shows_the_recipe_that_says_the_same(home, tmp_path):
    shown = call("run", home / "from-recipe" / "penjing.json", "--show")
    path = tmp_path / "shown.toml"
    path.write_text(shown, encoding="utf-8")
    assert read_recipe(path) == read_record(home / "from-recipe" / "penjing.json").request


def test_a_record_needs_a_new_folder(home):
    with pytest.raises(OutputError, match="--out"):
        penjing.run(home / "from-recipe" / "penjing.json")


def test_a_request_survives_toml(tmp_path):
    request = Request(
        source=Source(model="owner/name", revision="main"),
        choice=Choice(method="maw", limit_macs="3M", protect=("a", "b"), settings={"k v": (1, 2.5), "s": 'quo"te\n'}),
        data=Data(images=("x.npz",), batch=3), measure=Measure(notes=("naïve",), speed=False),
        heal=Heal(minutes=2.5, settings={"temperature": 2.0}, control=True),
        run=Run(memory="2GB", threads=3), out=str(tmp_path / "o"),
    )  # fmt: skip
    path = tmp_path / "recipe.toml"
    path.write_text(as_toml(request), encoding="utf-8")
    assert read_recipe(path) == request


def test_the_defaults_survive_toml(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(as_toml(Request(source=Source(model="m"), measure=None)), encoding="utf-8")
    assert read_recipe(path) == Request(source=Source(model="m"), measure=None)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[source]\nmodel = 'm'\n[chioce]\nkeep = 0.5", RequestError, "unknown key 'chioce'; did you mean 'choice'"),
        ("[source]\nmodel = 'm'\n[choice]\nkep = 0.5", RequestError, r"\[choice\] has the unknown key 'kep'; did you"),
        ("[source]\nmodel = 'm'\n[data]\nkeep = 0.5", RequestError, r"'keep', which belongs in \[choice\]"),
        ("keep = 0.5\n[source]\nmodel = 'm'", RequestError, r"'keep', which belongs in \[choice\]"),
        ("[source]\nmodel = 'm'\n[data]\nbatches = 3", RequestError, "unknown key 'batches'"),
        ("version = true\n[source]\nmodel = 'm'", RequestError, "of version True, and penjing 0.1.0 reads version 1"),
        ("version = 7\n[source]\nmodel = 'm'", RequestError, "of version 7, and penjing 0.1.0 reads version 1"),
        ("[choice]\nkeep = 0.5", RequestError, "names no model"),
        ("[source]\nmodel = 'm'\n[heal]\nmethod = 'sft'", RequestError, r"in \[heal\], healing takes minutes or"),
        ("[source]\nmodel = 'm'\n[data]\nrows = 'many'", RequestError, r"in \[data\], rows is 'many'"),
        ("source = 'm'", RequestError, "needed a table"),
        ("[source", RequestError, "is not TOML"),
        ("[source]\nmodel = 'm'\n[choice]\nkeep = 0.5\nlimit_bytes = '1M'", BudgetError, "keep 0.5 and limit_bytes"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_by_name(text, error, said, tmp_path):
    with pytest.raises(error, match=said):
        read_recipe(written(tmp_path, text))


def test_a_place_in_a_recipe_is_taken_from_its_folder(home):
    request = read_recipe(home / "recipe.toml")
    assert request.source.model == str(home / "model")
    assert request.out == str(home / "from-recipe")
    assert request.data.texts == (str(home / "text.txt"),)


def test_a_record_that_was_changed_is_not_believed(home, tmp_path):
    path = changed(home, tmp_path, lambda t: t["request"]["choice"].update(keep=0.25))
    with pytest.raises(RequestError, match="changed after it was written"):
        penjing.run(path, tmp_path / "out")
    other = changed(home, tmp_path, lambda t: t.update(plan_sha256="0" * 64))
    with pytest.raises(RequestError, match="changed after it was written"):
        penjing.run(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def sealed(table, **request):
    """As one who knows the code would forge it."""
    from penjing.pipeline.record import _sealed

    for name, value in request.items():
        table["request"][name] = table["request"][name] | value
    bare = {k: v for k, v in table["request"].items() if k != "sha256"}
    table["request"]["sha256"] = _sealed(bare, table["plan_sha256"])


@pytest.mark.parametrize("place", ["../secret.txt", "a/../../secret.txt", "~/secret.txt", "link.txt"])
def test_a_place_that_leaves_the_folder_of_a_record_is_refused(place, home, tmp_path):
    (tmp_path / "secret.txt").write_text(WORDS * 200, encoding="utf-8")
    folder = tmp_path / "result"
    folder.mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    path = changed(home, folder, lambda t: sealed(t, data={"texts": [place]}))
    with pytest.raises(RequestError, match="leaves its folder"):
        read_record(path)


def test_a_file_elsewhere_is_read_only_if_it_is_what_the_run_read(home, tmp_path):
    other = tmp_path / "secret.txt"
    other.write_text(WORDS * 200, encoding="utf-8")
    folder = tmp_path / "result"
    folder.mkdir()
    path = changed(home, folder, lambda t: sealed(t, data={"texts": [str(other)]}))
    with pytest.raises(RequestError, match="not what the run read"):
        read_record(path)
    other.unlink()
    with pytest.raises(RequestError, match="not there"):
        read_record(path)


def test_another_model_under_the_same_name_is_refused(home, tmp_path):
    shutil.copytree(home / "model", tmp_path / "model")
    state = load_file(tmp_path / "model" / "model.safetensors")
    name = next(n for n in state if n.endswith("up_proj.weight"))
    state[name] = state[name] + torch.ones(())
    from safetensors.torch import save_file

    save_file(state, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RequestError, match="its weights are others"):
        penjing.run(home / "from-recipe" / "penjing.json", tmp_path / "out", model=str(tmp_path / "model"))
    assert not (tmp_path / "out").exists()


def test_a_model_that_has_moved_gives_the_same_weights(home, tmp_path):
    shutil.copytree(home / "model", tmp_path / "model")
    penjing.run(home / "from-recipe" / "penjing.json", tmp_path / "out", model=str(tmp_path / "model"))
    weights = "model.safetensors"
    assert (tmp_path / "out" / weights).read_bytes() == (home / "from-recipe" / weights).read_bytes()


def test_another_plan_than_the_run_had_is_refused_before_writing(home, tmp_path):
    def forge(table):
        table["plan_sha256"] = "0" * 64
        sealed(table)

    with pytest.raises(PlanError, match="came out as another one"):
        penjing.run(changed(home, tmp_path, forge), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_python_gave_is_named_and_not_repeated(home, tmp_path):
    rows = [torch.randint(0, 50, (2, 8), generator=torch.Generator().manual_seed(i)) for i in range(4)]
    penjing.shrink(home / "model", tmp_path / "small", keep=0.5, data=rows, measure=False)
    with pytest.raises(RequestError, match=r"had data.batches from Python"):
        read_record(tmp_path / "small" / "penjing.json")


def test_a_folder_without_a_request_is_told_apart(home, tmp_path):
    plan = penjing.plan(home / "model", method="maw", keep=0.5)
    penjing.apply(home / "model", plan, tmp_path / "small", reopening=False)
    with pytest.raises(RequestError, match="does not say what was asked for"):
        read_record(tmp_path / "small" / "penjing.json")
    for text in ("[]", "{", "{}"):
        (tmp_path / "other.json").write_text(text, encoding="utf-8")
        with pytest.raises(PenjingError):
            read_record(tmp_path / "other.json")
