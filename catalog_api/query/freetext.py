"""Free text: commas part what may be there, spaces what must be there together."""

from __future__ import annotations

from catalog_api.edge.responses import BadRequest
from catalog_api.query.predicates import Predicate
from catalog_api.query.vocabulary import Vocabulary
from federation.queries import query

_TERMS_MAX, _WORDS_MAX, _WORD_LENGTH_MAX = 10, 10, 100

#: Any of these, of each all words.
Terms = tuple[tuple[str, ...], ...]


def read_terms(value: object) -> Terms | None:
    """The terms of `q`, from a text with commas or a list; None when it is not given.

    >>> read_terms("rue rivoli, gopro")
    (('rue', 'rivoli'), ('gopro',))
    """
    if value in (None, "", []):
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise BadRequest("q", value, "is not a text or a list of texts")
    terms = tuple(words for words in (tuple(part.split()) for part in parts) if words)
    if not terms:
        raise BadRequest("q", value, "has no words")
    if len(terms) > _TERMS_MAX or max(map(len, terms)) > _WORDS_MAX:
        raise BadRequest("q", value, f"has more than {_TERMS_MAX} terms, or more than {_WORDS_MAX} words in one")
    for word in (word for words in terms for word in words):
        if len(word) > _WORD_LENGTH_MAX or not word.isprintable():
            raise BadRequest("q", word, f"is not a word of up to {_WORD_LENGTH_MAX} printable characters")
    return terms


def free_text(terms: Terms, vocabulary: Vocabulary) -> Predicate:
    """Records in which one of the terms occurs: each of its words in some text, without regard to case."""
    arguments: list[object] = []

    def word_sql(word: str) -> str:
        arguments.append(f"%{_escaped(word)}%")
        return query(vocabulary.words).replace("/* word */", f"${len(arguments)}::text")

    sql = " OR ".join(f"({' AND '.join(word_sql(word) for word in words)})" for words in terms)
    return Predicate(sql, tuple(arguments))


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
