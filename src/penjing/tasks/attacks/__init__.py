"""Text attacks: words and letters changed, greedily, until a classifier errs."""

from penjing.tasks.attacks.attack import Attack, Classifier, Outcome, attack_text
from penjing.tasks.attacks.classifiers import label_words, sequence_classifier
from penjing.tasks.attacks.constraints import EditDistance, MostChanged, levenshtein
from penjing.tasks.attacks.figures import attack_figures, transfer_figures
from penjing.tasks.attacks.ranking import Deletion, Unknown, WeightedSaliency
from penjing.tasks.attacks.recipes import RECIPES, recipe
from penjing.tasks.attacks.task import Attacked, Transferred, run_attack, transfer
from penjing.tasks.attacks.transformations import DeepWordBug, Misspellings, SynonymSwap, TextBuggerCharacters

__all__ = [
    "RECIPES",
    "Attack",
    "Attacked",
    "Classifier",
    "DeepWordBug",
    "Deletion",
    "EditDistance",
    "Misspellings",
    "MostChanged",
    "Outcome",
    "SynonymSwap",
    "TextBuggerCharacters",
    "Transferred",
    "Unknown",
    "WeightedSaliency",
    "attack_figures",
    "attack_text",
    "label_words",
    "levenshtein",
    "recipe",
    "run_attack",
    "sequence_classifier",
    "transfer",
    "transfer_figures",
]
