"""What is decided about a text: claims about every verdict, policy and person; what the lexicon and the memory of floods say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import flooding, lexicon
from actors.inference import About, Span, Verdict
from actors.moderation import (
    DEFAULTS,
    HIDE_MIN,
    HOLD_MIN,
    NEVER,
    STRICT,
    USUAL,
    Action,
    Context,
    Policy,
    Reason,
    check_levels,
    cover,
    decide,
    read_policy,
    read_reasons,
    write_levels,
    write_reasons,
)
from protocol.operations import Level
from protocol.values import Harm, Role

harms = st.sampled_from(sorted(DEFAULTS))
scores = st.dictionaries(harms, st.floats(0, 1), max_size=8)
verdicts = st.builds(Verdict, scores, st.sampled_from(["", "en", "de", "sw"]), st.floats(0, 1))
levels = st.builds(Level, harms, st.integers(0, NEVER), st.integers(0, NEVER))
policies = st.lists(levels, max_size=8).filter(lambda some: not check_levels(some)).map(lambda some: read_policy(write_levels(some), True))
contexts = st.builds(
    Context, st.sampled_from(About), st.floats(0, 1), st.sampled_from([0, *Role]), st.integers(0, 10**6), st.booleans(), st.booleans()
)
CALM = Context(trust=0.3)


def said(language: str = "en", certain: float = 0.99, **scores: float) -> Verdict:
    return Verdict({Harm[name]: score for name, score in scores.items()}, language, certain)


@given(verdicts, policies, contexts)
def test_what_is_not_allowed_has_a_reason_and_what_is_allowed_is_whole(verdict: Verdict, policy: Policy, context: Context) -> None:
    outcome = decide(verdict, policy, context, "some text")
    if outcome.action is Action.ALLOW:
        assert outcome.note == bool(outcome.reasons)
    else:
        assert outcome.reasons
        assert outcome.why is not Harm.SELF_HARM
        assert len({reason.harm for reason in outcome.reasons}) == len(outcome.reasons)


@given(st.floats(0, 1), policies, contexts)
def test_need_is_told_to_staff_and_takes_nothing_back(score: float, policy: Policy, context: Context) -> None:
    context = Context(context.about, context.trust, context.role, private=context.private)
    outcome = decide(said(SELF_HARM=score), policy, context)
    assert outcome.action is Action.ALLOW
    assert outcome.note == (round(100 * score) >= policy.of(Harm.SELF_HARM)[0] + _shift(context.trust))


def _shift(trust: float) -> int:
    return -10 if trust < 0.15 else 10 if trust >= 0.5 else 0


@given(verdicts, policies, contexts, harms, st.floats(0, 1))
def test_a_higher_score_is_never_judged_more_mildly(verdict: Verdict, policy: Policy, context: Context, harm: Harm, more: float) -> None:
    worse = Verdict({**verdict.scores, harm: max(more, verdict.scores.get(harm, 0.0))}, verdict.language, verdict.certain, verdict.spans)
    assert decide(worse, policy, context).action >= decide(verdict, policy, context).action


@given(verdicts, policies, contexts, st.floats(0, 1))
def test_more_trust_never_makes_it_harder_and_for_the_worst_never_easier(
    verdict: Verdict, policy: Policy, context: Context, trust: float
) -> None:
    more, less = sorted((trust, context.trust), reverse=True)
    high, low = (Context(context.about, one, context.role, context.here_s, context.private) for one in (more, less))
    assert decide(verdict, policy, high).action <= decide(verdict, policy, low).action
    strict = Verdict({harm: score for harm, score in verdict.scores.items() if harm in STRICT}, verdict.language, verdict.certain)
    if less >= 0.15:
        assert decide(strict, policy, high).action == decide(strict, policy, low).action


@given(st.lists(levels, max_size=8))
def test_levels_that_a_community_may_set_are_within_bounds_and_come_back_as_they_were(some: list[Level]) -> None:
    if check_levels(some):
        return
    policy = read_policy(write_levels(some), True)
    for level in some:
        assert policy.of(level.harm) == (level.hold, level.hide)
        assert level.hold >= HOLD_MIN
        assert level.hide >= max(HIDE_MIN, level.hold)
        assert not (level.harm in STRICT and level.hold > 95)
    assert policy is USUAL or some


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (Level(Harm.INSULT, 10, 90), "at the earliest"),
        (Level(Harm.INSULT, 80, 70), "not before it is held"),
        (Level(Harm.THREAT, 101, 101), "at the latest"),
        (Level(Harm.SELF_HARM, 50, 90), "never hidden"),
        (Level(Harm.OTHER, 50, 90), "none of"),
    ],
)
def test_levels_beyond_the_bounds_are_refused_with_what_is_allowed(level: Level, word: str) -> None:
    assert word in check_levels([level])
    assert "twice" in check_levels([Level(Harm.INSULT, 75, 90)] * 2)


@given(st.lists(st.builds(Reason, st.sampled_from(Harm), st.integers(0, 100)), max_size=9))
def test_reasons_come_back_as_they_were(some: list[Reason]) -> None:
    assert list(read_reasons(write_reasons(some))) == some


def test_the_figures_that_stand_in_the_documents() -> None:
    assert decide(said(INSULT=0.93), USUAL, CALM).action is Action.HIDE
    assert decide(said(INSULT=0.80), USUAL, CALM).action is Action.HOLD
    assert decide(said(INSULT=0.70), USUAL, CALM).action is Action.ALLOW
    assert decide(said(INSULT=0.70), USUAL, Context(trust=0.1)).action is Action.HOLD
    assert decide(said(INSULT=0.80), USUAL, Context(trust=0.6)).action is Action.ALLOW
    assert decide(said(THREAT=0.65), USUAL, Context(trust=0.9)).action is Action.HOLD
    unsure = decide(said("sw", INSULT=0.99), USUAL, CALM)
    assert (unsure.action, "sw" in unsure.uncertain) == (Action.HOLD, True)
    assert decide(said("sw", THREAT=0.99), USUAL, CALM).uncertain == ""
    assert decide(said("", 0.0, TOXIC=0.99), USUAL, CALM).action is Action.HOLD
    assert decide(said(TOXIC=0.99, INSULT=0.99), USUAL, CALM).why is Harm.INSULT


def test_a_stranger_with_a_link_waits_for_a_person_and_nobody_else_does() -> None:
    stranger = Context(trust=0.2, here_s=60, link=True)
    outcome = decide(said(TOXIC=0.01), USUAL, stranger)
    assert (outcome.action, outcome.why) == (Action.HOLD, Harm.SPAM)
    for known in (
        Context(trust=0.2, here_s=90_000, link=True),
        Context(trust=0.4, here_s=60, link=True),
        Context(trust=0.2, here_s=60),
        Context(trust=0.2, here_s=60, link=True, role=Role.MODERATOR),
    ):
        assert decide(said(TOXIC=0.01), USUAL, known).action is Action.ALLOW


def test_what_is_personal_is_covered_and_the_rest_stands_unless_a_community_wants_it_held() -> None:
    text = "call me on 0176 1234567 🙂 tonight"
    verdict = lexicon.judge(text)
    outcome = decide(verdict, USUAL, CALM, text)
    assert (outcome.action, outcome.text) == (Action.MASK, "call me on ▒▒▒▒▒▒▒▒▒▒▒▒ 🙂 tonight")
    assert decide(verdict, Policy(mask=False), CALM, text).action is Action.HOLD
    assert decide(verdict, USUAL, Context(private=True), text).action is Action.ALLOW
    for about in (About.PROFILE, About.CONTENT):
        assert decide(verdict, USUAL, Context(about), text).action is Action.HOLD, "of several fields none can be covered in part"


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=3))
def test_covering_keeps_the_length_and_all_that_is_not_covered(text: str, places: list[tuple[int, int]]) -> None:
    verdict = Verdict({}, spans=tuple(Span(Harm.PERSONAL, begin, end, "phone") for begin, end in places))
    covered = cover(text, verdict)
    assert len(covered) == len(text)
    for at, (old, new) in enumerate(zip(text, covered, strict=True)):
        assert new == ("▒" if any(begin <= at < end for begin, end in places) else old)


@pytest.mark.parametrize(
    ("text", "harm"),
    [
        ("you are an idiot", Harm.INSULT),
        ("Y0U 4RE AN 1D10T", Harm.INSULT),
        ("du bist so dumm", Harm.INSULT),
        ("i\u200bdiot, you", Harm.INSULT),
        ("kill yourself", Harm.THREAT),
        ("ich bringe dich um", Harm.THREAT),
        ("I want to die", Harm.SELF_HARM),
        ("mail me: jo.doe@example.org", Harm.PERSONAL),
    ],
)
def test_the_lexicon_finds_what_is_plain(text: str, harm: Harm) -> None:
    assert lexicon.judge(text).scores.get(harm, 0.0) >= 0.9


@pytest.mark.parametrize(
    "text",
    ["what a stupid bug", "the assassin in Scunthorpe", "pi is 3.14159265358979", "this will kill the process", "Dumme Frage von mir"],
)
def test_the_lexicon_takes_no_part_of_a_word_and_nothing_said_to_nobody(text: str) -> None:
    assert decide(lexicon.judge(text), USUAL, CALM, text).action is Action.ALLOW


@given(st.text(max_size=60))
def test_the_lexicon_clears_no_text_with_a_word_that_it_does_not_know(text: str) -> None:
    assert not lexicon.clears(f"{text} qwertz {text}")
    assert not (lexicon.clears(text) and decide(lexicon.judge(text), USUAL, CALM, text).action is not Action.ALLOW)


def test_the_lexicon_clears_courtesy_alone() -> None:
    assert lexicon.clears("Thank you!")
    assert lexicon.clears("guten Morgen")
    for text in ("", "!!!", "https://ok.ok/ok", "thank you 5", "ok " * 13):
        assert not lexicon.clears(text)


def test_the_same_again_and_again_is_a_flood_and_what_everybody_says_is_none() -> None:
    memory = flooding.Flooding()
    found = [memory.seen(1, f"come and buy my cheap watches now {turn}", turn, (1, turn)) for turn in range(9)]
    assert found == [0.0] * 3 + [0.8] * 4 + [0.97] * 2
    assert [memory.seen(2, "thank you", turn, (1, turn)) for turn in range(14)] == [0.0] * 14
    assert not any(
        memory.seen(3, text, turn, (1, turn))
        for turn, text in enumerate(["one thing entirely", "and another one here", "third of it all"] * 3)
        if turn < 9
    )
    assert memory.seen(1, "come and buy my cheap watches now", 9 + flooding.WINDOW_S, (1, 10)) == 0.0


def test_one_long_text_by_many_people_is_a_campaign() -> None:
    memory = flooding.Flooding()
    text = "everybody should go to this place today and click on what you see there"
    assert [memory.seen(user, text, user, (1, user)) for user in range(1, 7)] == [0.0] * 4 + [0.8] * 2
    assert [memory.seen(user, "the answer is b", user, (1, user)) for user in range(1, 20)] == [0.0] * 19


def test_what_is_looked_at_again_counts_once_and_a_late_backlog_is_no_flood() -> None:
    memory = flooding.Flooding()
    text = "come and buy my cheap watches now"
    first = [memory.seen(1, text, float(at), (7, at)) for at in range(5)]
    assert first == [0.0] * 3 + [0.8] * 2
    assert [memory.seen(1, text, float(at), (7, at)) for at in range(5)] == first, "after a gateway was killed"
    # Said within a day, looked at within a second.
    assert not any(memory.seen(2, text, 3600.0 * hour, (8, hour)) for hour in range(24))
    long = "everybody should go to this place today and click on what you see there"
    assert not any(memory.seen(user, long, 3600.0 * user, (9, user)) for user in range(20, 40))
    assert [memory.seen(user, long, float(user), (10, user)) for user in (3, 1, 2, 1, 3)] == [0.0] * 5


def test_the_memory_of_floods_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flooding, "AUTHORS_MAX", 5)
    monkeypatch.setattr(flooding, "TEXTS_MAX", 5)
    memory = flooding.Flooding()
    for user in range(50):
        for turn in range(20):
            memory.seen(user, f"a text of {'many ' * 10} words, number {'x' * user} {turn}", turn, (1, turn))
    assert len(memory._authors) <= 5
    assert len(memory._texts) <= 5
    assert all(len(said) <= flooding.KEPT_MAX for said in memory._authors.values())
