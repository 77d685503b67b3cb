"""What a study's file asks for, and what is refused before anything runs."""

import pytest

from penjing.errors import PenjingError, RequestError
from penjing.studies import read_study


def test_every_setting_of_the_grid_with_every_seed(counting):
    study = read_study(counting("[grid]\nshift = [1, 2.5]\nseconds = [0, 0.5]\n", seeds="[4, 7]"))
    names = ["shift 1, seconds 0", "shift 1, seconds 0.5", "shift 2.5, seconds 0", "shift 2.5, seconds 0.5"]
    assert [s.name for s in study.settings] == names
    assert study.settings[1].values == {"shift": 1, "seconds": 0.5}
    assert study.settings[0].values == {"shift": 1}
    assert study.seeds == (4, 7)
    assert study.base == names[0]


def test_a_list_and_a_grid_make_their_product(counting):
    text = '[settings]\nseconds = 0.5\n[[setting]]\nname = "a"\nshift = 1\n[[setting]]\nshift = 2\n'
    text += "[grid]\nmarks = [[1, 2], [3]]\n"
    study = read_study(counting(text))
    assert [s.name for s in study.settings] == ["a, marks 1 2", "a, marks 3", "shift 2, marks 1 2", "shift 2, marks 3"]
    assert study.settings[0].values == {"shift": 1, "seconds": 0.5, "marks": [1, 2]}
    assert [s.name for s in read_study(counting()).settings] == ["counting"]


def test_recipes_are_varied_table_by_table(counting, tmp_path):
    text = (
        '[settings.source]\nmodel = "here"\n[grid]\nchoice.keep = [0.5, 0.75]\nchoice.method = ["maw", "magnitude"]\n'
    )
    study = read_study(counting(text, experiment="shrink"))
    assert study.settings[0].name == "keep 0.5, method maw"
    assert study.settings[3].values == {"source": {"model": "here"}, "choice": {"keep": 0.75, "method": "magnitude"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 3\n", "unknown key 'sed'; did you mean 'seeds'"),
        ("workers = 3\n", "it has the unknown key 'workers'; known are version, out"),
        ("together = 3\n", "it has the unknown key 'together', which belongs in [run]"),
        ("[show]\nfigure = 3\n", "[show] has the unknown key 'figure'; did you mean 'figures'"),
        ("[show]\nexecutor = 3\n", "[show] has the unknown key 'executor', which belongs in [run]"),
        ("[settings]\nshft = 3\n", "experiment 'counting' has no setting 'shft'; did you mean 'shift'"),
        ("[grid]\nshft = [3]\n", "has no setting 'shft'; did you mean 'shift'"),
        ("[grid]\nshift = 3\n", "[grid] has shift = 3; needed a list of values to try"),
        ("[grid]\nshift = [1, 1]\n", "the setting 'shift 1' stands there twice"),
        ('[run]\nexecutor = "processess"\n', "no executor named 'processess'; did you mean 'processes'"),
        ("[run]\nworkers = 2\n", "executor 'here' has no setting 'workers'"),
        ('[run]\nexecutor = "processes"\nworkers = -1\n', "needed 0 or more"),
        ("[run]\ntogether = 0\n", "together is 0; needed a whole number"),
        ('[show]\nbase = "shift 2"\n[grid]\nshift = [1, 3]\n', "the base is 'shift 2'; did you mean 'shift"),
        ("version = 2\n", "found version 2, needed 1"),
        ("settings = 3\n", "settings is 3; needed a table"),
        ("setting = 3\n", "write [[setting]] above each"),
        ("[[setting]]\nname = 3\n", "name is 3; needed a name"),
    ],
)
def test_what_does_not_serve_is_refused_with_the_nearest_name(counting, text, said):
    with pytest.raises(PenjingError) as caught:
        read_study(counting(text))
    assert said in str(caught.value)
    assert "study.toml: " in str(caught.value)


@pytest.mark.parametrize(
    "seeds", ["0", "-1", "true", "[]", "[1, 1]", "[1.5]", '"3"', "99999999999", "[99999999999999999999]"]
)
def test_seeds_are_a_count_or_numbers_that_differ(counting, seeds):
    with pytest.raises(RequestError, match="needed how many, 1 to 1,000,000"):
        read_study(counting(seeds=seeds))


def test_unknown_keys_of_a_recipe_are_refused_too(counting):
    with pytest.raises(PenjingError, match="did you mean 'keep'"):
        read_study(counting('[settings.source]\nmodel = "here"\n[grid]\nchoice.kep = [0.5]\n', experiment="shrink"))
    with pytest.raises(RequestError, match=r"neither .* names a model"):
        read_study(counting("[grid]\nchoice.keep = [0.5]\n", experiment="shrink"))
    with pytest.raises(PenjingError, match="no experiment named 'cuonting'; did you mean 'counting'"):
        read_study(counting(experiment="cuonting"))


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(RequestError, match="cannot be read"):
        read_study(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(RequestError, match="is not TOML"):
        read_study(tmp_path / "bad.toml")
