"""
How operations are called: `listPosts`, `List posts`.
"""

import re
from typing import Any

from django.db import models

# The actions that all resources have: how the operation is called, and its heading.
STANDARD_ACTIONS = {
    "create": ("create{noun}", "Create {a_noun}"),
    "list": ("list{nouns}", "List {nouns_apart}"),
    "retrieve": ("get{noun}", "Show {a_noun}"),
    "partial_update": ("update{noun}", "Change {a_noun}"),
    "destroy": ("delete{noun}", "Delete {a_noun}"),
    "destroy_row": ("delete{noun}FromDatabase", "Delete {a_noun} from the database"),
}


class Noun:
    """
    A model's name as a word of the description.
    """

    def __init__(self, what: type[models.Model] | str | None) -> None:
        named = what._meta if isinstance(what, type) else None
        self.singular = str(named.verbose_name) if named else str(what or "")
        self.plural = str(named.verbose_name_plural) if named else f"{self.singular}s"

    def forms(self) -> dict[str, str]:
        # "A user", "a unit": the u of such words is spoken as in "you".
        article = "an" if self.singular[:1] in "aeio" else "a"
        return {
            "noun": camel(self.singular),
            "nouns": camel(self.plural),
            "a_noun": f"{article} {self.singular}",
            "nouns_apart": self.plural,
        }


def camel(text: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[ _]", text))


def operation_id(view: Any, key: str, method: str, model: type[models.Model] | None) -> str:
    """
    Return `createPost`, `getUserTier` or `setUserTier`; for a view that is no resource its class' name.
    """
    if model is None:
        name = type(view).__name__.removesuffix("View")
        return name[:1].lower() + name[1:]
    noun = Noun(model)
    if key in STANDARD_ACTIONS:
        return STANDARD_ACTIONS[key][0].format(**noun.forms())
    verb, _, rest = ("get", "", key) if method == "GET" else key.partition("_")
    return f"{verb}{camel(noun.singular)}{camel(rest)}"


def summary(key: str, model: type[models.Model] | None, doc: str) -> str:
    """
    Return the heading: for the actions that all resources have, one about the noun, else the docstring's first sentence.
    """
    if model is not None and key in STANDARD_ACTIONS:
        return STANDARD_ACTIONS[key][1].format(**Noun(model).forms())
    return split_doc(doc, has_own_summary=True)[0] or key.replace("_", " ").capitalize()


def split_doc(doc: str, *, has_own_summary: bool) -> tuple[str, str]:
    """
    Return the docstring's first sentence, without its full stop, and the rest; with no summary of its own it is all rest.
    """
    match = re.match(r"(.+?)(?:[.;](?=\s)|\.?$)\s*(.*)", doc, re.DOTALL) if has_own_summary else None
    if match is None:
        return "", doc
    first, rest = match.groups()
    return " ".join(first.split()), rest[:1].upper() + rest[1:]
