"""Reports for people: one page, a model card, a terminal table; and as JSON for machines."""

from penjing.report.card import card
from penjing.report.files import check_page, figures_json, save, save_card, save_page
from penjing.report.headline import headline
from penjing.report.items import Items, load_items, with_items
from penjing.report.page import page
from penjing.report.published import published
from penjing.report.source_card import SOURCE_CARD, base_of, source_card
from penjing.report.store import from_json, load, to_json
from penjing.report.terminal import table
from penjing.report.trained import save_trained_card

__all__ = [
    "SOURCE_CARD", "Items", "base_of", "card", "check_page", "figures_json", "from_json", "headline", "load",
    "load_items", "page", "published", "save", "save_card", "save_page", "save_trained_card", "source_card", "table",
    "to_json", "with_items",
]  # fmt: skip
