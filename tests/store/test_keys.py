"""trio_wss/store/keys.py: where everything is in Redis, all of it in one slot."""

import pytest

from trio_wss.store.keys import Keys, topics_in

KEYS = Keys("chat", 3)


def test_every_key_has_the_hash_tag_of_its_namespace() -> None:
    made = [
        KEYS.state("a"), KEYS.session("a"), KEYS.node("a"), KEYS.sessions_of("a"), KEYS.meta("a"),
        KEYS.stream("a"), KEYS.members("a"), KEYS.nodes, KEYS.master, KEYS.pulse, KEYS.due,
    ]  # fmt: skip
    assert all(key.startswith("{chat}:") for key in made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("name", ["x:y", "}", "{other}", "k:a"])
def test_no_name_reaches_into_another_kind_or_slot(name: str) -> None:
    assert KEYS.state(name) == "{chat}:k:" + name
    assert KEYS.session(name) == "{chat}:s:" + name


def test_channels_carry_the_number_of_the_database() -> None:
    assert KEYS.channel == "{chat}/3:"
    assert Keys("chat").channel == "{chat}/0:"


def test_the_topics_of_a_session_are_told_by_their_mark() -> None:
    fields = [b"t:room:a", b"node", b"t:", b"r:7", "t:é".encode()]
    assert topics_in(fields) == {"room:a", "", "é"}
