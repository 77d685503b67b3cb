"""`expected.json`: what is read, what is refused and by what name, and one verdict for several claims."""

import json

import pytest

from penjing.errors import PenjingError
from penjing.papers import read, to_json
from penjing.papers.schema import VERDICTS, overall

FIGURE = {
    "what": "ratio", "value": "/ratios/a : b/ratio", "n": "/windows", "of": "windows", "unit": "times",
    "interval": "/ratios/a : b/interval", "kind": "95 %",
}  # fmt: skip
CLAIM = {"claim": "a is better", "verdict": "reproduced", "where": "table 1", "figure": FIGURE}
RUN = {"command": "python -m papers.07-sample.run out/sample", "minutes": 2, "seeds": 3}
RESULTS = {"windows": 16, "ratios": {"a : b": {"ratio": 1.5, "interval": [1.4, 1.7]}}, "each": [0.1, 0.4, 0.25]}


def document(**changed):
    whole = {
        "number": 7, "name": "sample", "title": "Of samples", "paper": "arXiv:1", "room": "methods/prune/sample",
        "runs": [RUN], "claims": [CLAIM], "results": RESULTS,
    }  # fmt: skip
    return {**whole, **changed}


@pytest.fixture
def written(tmp_path):
    """Writes a document where a clone would hold it."""
    folder = tmp_path / "07-sample"
    folder.mkdir()

    def write(data):
        (folder / "expected.json").write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        return folder / "expected.json"

    return write


def test_paths_into_results_become_numbers(written):
    figure = read(written(document())).claims[0].figure
    assert (figure.value, figure.n, figure.interval) == (1.5, 16, (1.4, 1.7))
    assert figure.text() == "1.5 times (1.4 to 1.7), n 16 windows"


def test_a_path_to_several_numbers_is_their_mean_and_their_least_and_most(written):
    figure = {**FIGURE, "value": "/each", "interval": "/each"}
    figure = read(written(document(claims=[{**CLAIM, "figure": figure}]))).claims[0].figure
    assert (figure.value, figure.interval) == (0.25, (0.1, 0.4))


def test_over_divides_by_another_number(written):
    figure = {"what": "share", "value": "/each/1", "over": "/ratios/a : b/ratio", "n": 3, "of": "seeds"}
    figure = read(written(document(claims=[{**CLAIM, "figure": figure}]))).claims[0].figure
    assert figure.value == pytest.approx(0.4 / 1.5, abs=1e-4)
    assert figure.interval is None


def test_over_nothing_is_refused(written):
    figure = {"what": "share", "value": 1, "over": 0, "n": 3, "of": "seeds"}
    with pytest.raises(PenjingError, match=r"claims\[0\]\.figure\.over is 0"):
        read(written(document(claims=[{**CLAIM, "figure": figure}])))


def test_a_row_holds_the_same_paper_without_results(written, tmp_path):
    paper = read(written(document()))
    row = tmp_path / "07-sample.json"
    row.write_text(json.dumps(to_json(paper)), encoding="utf-8")
    assert "results" not in row.read_text(encoding="utf-8")
    assert read(row) == paper


def changed_claim(**changed):
    return document(claims=[CLAIM, {**CLAIM, **changed}])


def changed_figure(**changed):
    return document(claims=[{**CLAIM, "figure": {**FIGURE, **changed}}])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "the whole is a list; it must be an object"),
        ({k: v for k, v in document().items() if k != "room"}, "room is missing"),
        (document(romm="x"), r"romm is not a key of the schema; did you mean 'room'\?"),
        (document(number="7"), "number is '7'; it must be a whole number above 0"),
        (document(number=8), "number and name give '08-sample', but it is called '07-sample'"),
        (document(claims=[]), "claims is a list; it must be a list of at least one claim"),
        (document(title=" "), "title is ' '; it must be a text"),
        (changed_claim(verdict="reproducd"), r"claims\[1\]\.verdict is 'reproducd'.*did you mean 'reproduced'"),
        (changed_claim(verdict="not yet"), r"claims\[1\]\.figure is a dict; it must be null"),
        (changed_figure(value="/ratios/a : c/ratio"), r"figure\.value is '/ratios/a : c/ratio'.*'a : c' is not there"),
        (changed_figure(value="/ratios"), r"figure\.value \(results/ratios\) is a dict; it must be a number"),
        (changed_figure(value="1.5"), r"figure\.value is '1\.5'; it must be a number, or a path into results"),
        (changed_figure(value=True), r"figure\.value is True; it must be a number"),
        (changed_figure(interval=[1]), r"figure\.interval is a list; it must be two numbers"),
        (changed_figure(kind=""), r"figure\.kind is ''; it must be a text"),
        (changed_figure(unit=3), r"figure\.unit is 3; it must be a text"),
        (document(runs=[]), r"claims\[0\]\.verdict is 'reproduced', but runs is empty"),
        (document(runs=[{**RUN, "command": "rm -rf x"}]), r"runs\[0\]\.command is 'rm -rf x'"),
        (document(runs=[{**RUN, "command": "python -m papers.08-other.run"}]), r"runs\[0\]\.command is"),
        (document(runs=[{**RUN, "command": "python -m 'papers"}]), r"runs\[0\]\.command is"),
        (document(runs=[{**RUN, "minutes": "2"}]), r"runs\[0\]\.minutes is '2'; it must be a number"),
        (document(runs=[{**RUN, "seeds": 0}]), r"runs\[0\]\.seeds is 0; it must be a whole number"),
    ],
)
def test_what_is_broken_is_named_with_its_file_and_key(written, data, said):
    path = written(data)
    with pytest.raises(PenjingError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PenjingError, match=r"expected\.json cannot be read"):
        read(tmp_path / "expected.json")


@pytest.mark.parametrize(
    ("verdicts", "one"),
    [
        *[([v, v], v) for v in VERDICTS],
        (["reproduced", "not"], "partly"),
        (["reproduced", "not yet"], "partly"),
        (["partly", "not"], "partly"),
        (["not", "not yet"], "not"),
        (["not", "not decidable here"], "not"),
        (["not decidable here", "not yet"], "not decidable here"),
    ],
)
def test_one_verdict_for_several_claims(verdicts, one):
    assert overall(verdicts) == one
