"""Every kind of instruction has texts that follow it and texts that do not."""

import pytest

from penjing.data.instructions import PARAMETERS, Instruction
from penjing.tasks.instructions import KINDS, follows

ENGLISH = "The children played in the garden until it was dark."
AT_LEAST, LESS = "at least", "less than"

CASES = {
    "keywords:existence": [
        ({"keywords": ("net", "gull")}, ["A GULL sat on the net.", "networks and gulls"], ["a gull", "a net"]),
    ],
    "keywords:frequency": [
        ({"keyword": "dough", "frequency": 2, "relation": AT_LEAST}, ["Dough, doughnut"], ["dough", "bread"]),
        ({"keyword": "dough", "frequency": 2, "relation": LESS}, ["dough", "bread"], ["Dough, doughnut"]),
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ("snow", "ice")}, ["Nice rice", "snowy"], ["Ice!", "some SNOW fell"]),
    ],
    "keywords:letter_frequency": [
        ({"letter": "Z", "let_frequency": 3, "let_relation": AT_LEAST}, ["zZz"], ["zz"]),
        ({"letter": "!", "let_frequency": 2, "let_relation": LESS}, ["hey!"], ["hey!!"]),
    ],
    "language:response_language": [
        ({"language": "de"}, ["Die Kinder spielten im Garten, bis es dunkel wurde.", "123"], [ENGLISH, "孩子们"]),
        ({"language": "kn"}, ["ಮಕ್ಕಳು ತೋಟದಲ್ಲಿ ಆಡಿದರು"], ["yes", ENGLISH]),
    ],
    "length_constraints:number_words": [
        ({"num_words": 4, "relation": AT_LEAST}, ["one two, three-four"], ["one two three."]),
        ({"num_words": 4, "relation": LESS}, ["one two three."], ["one two, three-four", "it's it's"]),
    ],
    "length_constraints:number_sentences": [
        ({"num_sentences": 2, "relation": AT_LEAST}, ["Yes. No.", "Well? Well"], ["Mr. Li met Dr. Wu at 3.5 km."]),
        ({"num_sentences": 2, "relation": LESS}, ["Mr. Li met Dr. Wu.", "- a\n- b"], ["Yes. No."]),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, ["a *** b", "a\n***\nb\n***\n", "***a***b"], ["a\n\nb", "a***b***c", "a******b", "a"]),
        ({"num_paragraphs": 1}, ["a", "a***"], ["a***b"]),
    ],
    "length_constraints:nth_paragraph_first_word": [
        (
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "once"},
            ["One.\n\nOnce upon", 'One.\n\n"Once," he said', "One.\n\nonce"],
            [
                "Once\n\nTwo",
                "One.\n\nTwo Once",
                "One.\n\nOnce\n\nThree",
                "One.\n\nOnceler",
                "One. Once",
                "A\n\n\n\nOnce",
            ],
        ),
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, ["[a] and [b]", "[][]"], ["[a]", "(a) (b)", "[a\nb] [c]"]),
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, ["Bye.\nP.S. Come", "p. s. so"], ["Bye. PS come", "P.P.S come"]),
        ({"postscript_marker": "P.P.S"}, ["P. P. S. more", "p.p.s"], ["P.S. one"]),
        ({"postscript_marker": "NB:"}, ["nb: this"], ["n b: this"]),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 2}, ["* a\n* b", "- a\n  * b", "text\n* a\n- b"], ["* a", "**a**\n* b", "* a\n* b\n- c"]),
    ],
    "detectable_format:constrained_response": [
        ({}, ["My answer is yes.", "Well. My answer is maybe. Hm"], ["yes", "my answer is yes.", "My answer is"]),
    ],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 2}, ["*a* and *b*", "**a** *b*", "**a** **b**"], ["*a*", "* * and ** **", "*a\nb* *c*"]),
    ],
    "detectable_format:multiple_sections": [
        (
            {"section_spliter": "Section", "num_sections": 2},
            ["Section 1\na\nSection 2\nb", "Section1 Section2", "Section 1 Section 2 Section 3"],
            ["Section 1", "SECTION 1 SECTION 2", "Section one Section two"],
        ),
    ],
    "detectable_format:json_format": [
        ({}, ['{"a": 1}', '```json\n{"a": [1]}\n```', "```\n[]\n```", "17"], ['Here: {"a": 1}', "{'a': 1}", "{"]),
    ],
    "detectable_format:title": [
        ({}, ["<<Rain>>\nIt fell.", "so <<<a>>> b"], ["<Rain>", "<<>>", "<< >>", "<<a\nb>>"]),
    ],
    "combination:two_responses": [
        ({}, ["a ****** b", "******a******b******"], ["a", "a****** a", "a******b******c", "a************b"]),
    ],
    "combination:repeat_prompt": [
        ({"prompt_to_repeat": " Name it. "}, ["  name it. It is so.", "Name it."], ["So: Name it.", "Name"]),
    ],
    "startend:end_checker": [
        ({"end_phrase": "Good night."}, ["So. GOOD NIGHT.\n", '"Good night."'], ["Good night. Bye", "Good night"]),
    ],
    "startend:quotation": [({}, ['"a b"', ' "a" and "b"\n'], ['"', '"a', "'a'", "“a”"])],
    "change_case:english_capital": [
        ({}, [ENGLISH.upper()], [ENGLISH, "DIE KINDER SIND IM GARTEN, UND ES IST DUNKEL", "12"]),
    ],
    "change_case:english_lowercase": [
        ({}, [ENGLISH.lower()], [ENGLISH, "die kinder sind im garten, und es ist dunkel", "12"]),
    ],
    "change_case:capital_word_frequency": [
        ({"capital_frequency": 2, "capital_relation": AT_LEAST}, ["BIG U.S. news", "I AM"], ["BIG-TIME Joy", "big"]),
        ({"capital_frequency": 2, "capital_relation": LESS}, ["BIG-TIME Joy", "12 a"], ["BIG SALE", "DON'T GO"]),
    ],
    "punctuation:no_comma": [({}, ["no; none", "seven"], ["yes, one", "a,"])],
}
ROWS = [(kind, parameters, good, bad) for kind, cases in CASES.items() for parameters, good, bad in cases]


def test_there_are_25_kinds_and_every_one_has_cases():
    assert len(KINDS) == 25
    assert set(CASES) == set(KINDS) == set(PARAMETERS)


@pytest.mark.parametrize(("kind", "parameters", "good", "bad"), ROWS, ids=[r[0] for r in ROWS])
def test_good_texts_follow_and_bad_ones_do_not(kind, parameters, good, bad):
    instruction = Instruction(kind, parameters)
    assert set(parameters) == set(PARAMETERS[kind])
    assert [text for text in good if not follows(text, instruction)] == []
    assert [text for text in bad if follows(text, instruction)] == []


@pytest.mark.parametrize(("kind", "parameters", "good", "bad"), ROWS, ids=[r[0] for r in ROWS])
def test_an_empty_response_follows_nothing(kind, parameters, good, bad):
    assert not any(follows(text, Instruction(kind, parameters)) for text in ("", " ", "\n\t\n"))
