"""Rules find what is said to or of people, and not what a school says every day."""

from __future__ import annotations

import pytest

from actors.inference import Harm
from ml_actors.moderation.rules import LIKELY, MAYBE, NOTHING, found_by_phrases, spam
from ml_actors.moderation.writing import plain

SAID = [
    (Harm.THREAT, "I will kill you tomorrow"),
    (Harm.THREAT, "im gonna... I'm gonna beat your little brother"),
    (Harm.THREAT, "Ich bring dich um!"),
    (Harm.THREAT, "te voy a matar"),
    (Harm.THREAT, "je vais te frapper"),
    (Harm.THREAT, "nitakuua"),
    (Harm.THREAT, "سأقتلك"),
    (Harm.THREAT, "I know where you live"),
    (Harm.SELF_HARM, "I want to die"),
    (Harm.SELF_HARM, "i just wanna kill myself"),
    (Harm.SELF_HARM, "Ich will einfach nicht mehr leben"),
    (Harm.SELF_HARM, "quiero morirme"),
    (Harm.SELF_HARM, "j'ai envie de mourir"),
    (Harm.SELF_HARM, "nataka kufa"),
    (Harm.SEXUAL, "send me nudes"),
    (Harm.SEXUAL, "schick mir nacktbilder"),
    (Harm.SEXUAL, "mándame nudes"),
]
EVERYDAY = [
    "I will kill this exam",
    "I will kill the process on the server",
    "you killed it in the concert",
    "he was shot in Dallas in 1963",
    "I want to die of laughter",
    "I cut myself a slice of bread",
    "this homework is killing me",
    "you will be sorry to hear that we lost the match",
    "Ich bringe euch morgen das Buch",
    "Ich mache dich mit ihr bekannt",
    "ich schlage ein neues Thema vor",
    "sexual reproduction in plants",
    "breast cancer is common",
    "the sex of a chick",
    "sex education starts in grade six",
    "je vais te montrer la solution",
    "te voy a explicar el problema",
    "watch your step",
]


@pytest.mark.parametrize(("harm", "text"), SAID)
def test_a_phrase_is_found(harm: Harm, text: str) -> None:
    assert found_by_phrases(plain(text))[harm] >= LIKELY


@pytest.mark.parametrize("text", EVERYDAY)
def test_what_a_school_says_every_day_is_nothing(text: str) -> None:
    assert max(found_by_phrases(plain(text)).values()) <= NOTHING


def test_a_word_alone_is_for_a_persons_eye_and_below_every_threshold() -> None:
    assert found_by_phrases("we read about suicide in class")[Harm.SELF_HARM] == MAYBE


ADVERTISED = ["Earn $500 per day from home, click here https://x.example", "free robux!!! dm me for promo code", "buy " * 30]
SHARED = ["The task is here: https://school.example/1", "I have a free period", "no no no no", "We won the match!", "what is bitcoin?"]


@pytest.mark.parametrize("text", ADVERTISED)
def test_advertisement_is_likely_spam(text: str) -> None:
    assert spam(text, plain(text)) >= LIKELY


@pytest.mark.parametrize("text", SHARED)
def test_a_link_to_a_task_is_no_spam(text: str) -> None:
    assert spam(text, plain(text)) <= MAYBE
