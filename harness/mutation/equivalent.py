"""Mutants that no test can notice, by module, each with the reason."""

from __future__ import annotations

from typing import Final

CHECKING: Final = "if TYPE_CHECKING: | if TYPE_CHECKING: -> if not TYPE_CHECKING:"
TRUTH: Final = "only asked whether it is true"
VOLATILE: Final = "length, ttl = (0, 0.0) if effect.volatile else self.history(topic)"
COMMON: Final = "return dict.fromkeys(set(known[0]).intersection(*known), Any) if known else {}"
SLOWER: Final = "the other way comes to the same, only slower"
SYMMETRIC: Final = "equality is symmetric"
NAMED: Final = "the name of a TypeVar is for mypy, which holds it to be the variable's"

EQUIVALENT: Final[dict[str, dict[str, str]]] = {
    "app": {
        'HandlerT = TypeVar("HandlerT", bound=Callable[..., Effects])'
        " | 'HandlerT' -> 'HandlerTx'": NAMED,
        'AuthenticatorT = TypeVar("AuthenticatorT", bound=Callable[[Request], Authenticated])'
        " | 'AuthenticatorT' -> 'AuthenticatorTx'": NAMED,
        'return PurePath(sys._getframe(2).f_globals.get("__file__", "")).parent / folder'
        " | '' -> 'x'": "a bare name has the same parent as none",
    },
    "data/converter": {
        'error.add_note(IterableValidationNote("", place, type_))'
        " | '' -> 'x'": "the words of a note are not told",
        "return make(dict(zip(keys, values, strict=True)))"
        " | True -> False": "each key has its value",
        "return False | return False -> return None": TRUTH,
    },
    "effects": {
        "return same(self.effect, other.effect) | same(self.effect, other.effect)"
        " -> same(other.effect, self.effect)": SYMMETRIC,
        "if same(effect, other): | same(effect, other) -> same(other, effect)": SYMMETRIC,
    },
    "data/json": {
        "StructuredT = TypeVar(\"StructuredT\") | 'StructuredT' -> 'StructuredTx'": NAMED,
        "continue | continue -> pass": SLOWER,
        'if raw.count(b"[") + raw.count(b"{") <= depth:'
        " | raw.count(b'[') + raw.count(b'{') <= depth"
        " -> raw.count(b'[') + raw.count(b'{') < depth": SLOWER,
        'brackets = unescaped.translate(_FLAT, _PLAIN).replace(b\'""\', b"")'
        " | unescaped.translate(_FLAT, _PLAIN).replace(b'\"\"', b'')"
        " -> unescaped.translate(_FLAT, _PLAIN).replace(b'', b'\"\"')": SLOWER,
    },
    "handling/handler": {
        "if len(places) > 1: | 1 -> 2": SLOWER,
        "return function(*arguments[:first], **dict(zip(names, arguments[first:], strict=True)))"
        " | True -> False": "as many as there are names are left",
    },
    "data/annotations": {
        "return False | return False -> return None": TRUTH,
        "return any(map(_is_open, inner[:1] if origin is Annotated else inner)) | 1 -> 2": SLOWER,
    },
    "settings": {
        '_Check = Callable[[Any, "Attribute[Any]", Any], None]'
        " | 'Attribute[Any]' -> 'Attribute[Any]x'": "a type, for mypy",
    },
    "handling/signature": {
        'local = localns if "<locals>" in getattr(function, "__qualname__", "") else None'
        " | '' -> 'x'": "neither holds `<locals>`",
        "marker = markers[0] if markers else None | 0 -> -1": "there is one",
    },
    "handling/template": {
        "type_, plain = roots[root], True | True -> False": SLOWER,
        "return known[0] | 0 -> -1": "there is one",
        "return False | return False -> return None": TRUTH,
        f"{COMMON} | 0 -> 1": "it is the same for all of them",
        f"{COMMON} | 0 -> -1": "it is the same for all of them",
    },
    "commit/plan": {
        CHECKING: "imports what is there",
        "@define(eq=False)  # not frozen: one is made per event, and a frozen __init__ costs three"
        " times it | False -> True": "answers are not compared",
        "@define(eq=False) | False -> True": "plans are not compared",
        "phase: Phase = \"event\", | 'event' -> 'eventx'": "told from disconnect alone",
        "assert_never(effect) | assert_never(effect) -> pass": "for mypy",
        f"{VOLATILE} | 0.0 -> 1.0": "a volatile broadcast has no ttl",
        f"{VOLATILE} | 0.0 -> -1.0": "a volatile broadcast has no ttl",
        "pairs = zip(self.written, self.ops, strict=True) | True -> False": "grown together",
        "places = [op for effect, op in pairs if same(effect, used)]"
        " | same(effect, used) -> same(used, effect)": SYMMETRIC,
        "places[0][2][-1] = str(number) | 0 -> -1": "there is one",
        "return False | return False -> return None": TRUTH,
    },
}
