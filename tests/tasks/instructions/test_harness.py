"""Our checks of instructions against those of lm-evaluation-harness, text by text."""

import os
from importlib.util import find_spec
from random import Random

import pytest
from tests.tasks.instructions.test_kinds import ROWS

from penjing.data.instructions import PARAMETERS
from penjing.tasks.instructions import KINDS

# What other packages warn of on import is no concern of ours.
pytestmark = pytest.mark.filterwarnings("ignore")

BY_RULES = {"length_constraints:number_sentences", "change_case:capital_word_frequency"}
"""Counted with nltk's trained tokenisers there, which are fetched from the network; ours says so in `counting`."""
PIECES = (
    *("one", "Two", "BIG", "once", "the net", "gull", "zz Z", "*a*", "**b**", "* item", "- item", "[x]", "[]", "***"),
    *("******", "\n\n", "\n\n***\n\n", "P.S. so", "p. s.", "P.P.S x", "My answer is yes.", "Section 1", "Section 2"),
    *("<<t>>", "<<>>", '{"a": 1}', "```json\n{}\n```", '"', ",", ".", "!", "Good night.", "Name it.", "孩子们"),
    *("The children played in the garden.", "die kinder spielten im garten."),
)


def texts(kind: str) -> list[str]:
    random = Random(kind)
    made = [random.choice([" ", "", "\n"]).join(random.choices(PIECES, k=random.randint(1, 9))) for _ in range(60)]
    return [text for text in made if text.strip()]


def asked(kind, parameters):
    """The parameters that the original has a meaning for: other letters it replaces at random."""
    return kind not in BY_RULES and str(parameters.get("letter", "a")).isalpha()


@pytest.fixture(scope="module")
def harness():
    if find_spec("lm_eval") is None and os.environ.get("PENJING_LM_EVAL") != "required":
        pytest.skip("lm_eval is not installed: make test-lm-eval")
    import langdetect
    import nltk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk, "download", lambda *_: False)
        patch.setattr(langdetect.DetectorFactory, "seed", 0)
        from lm_eval.tasks.ifeval.instructions_registry import INSTRUCTION_DICT

        assert set(INSTRUCTION_DICT) >= set(PARAMETERS)
        yield INSTRUCTION_DICT


@pytest.mark.parametrize(("kind", "parameters", "good", "bad"), [r for r in ROWS if asked(*r[:2])])
def test_a_text_is_judged_as_there(harness, kind, parameters, good, bad):
    theirs = harness[kind](kind)
    theirs.build_description(**{k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()})
    for text in [*good, *bad, *texts(kind)]:
        assert KINDS[kind].check(text, **parameters) == bool(theirs.check_following(text)), text
