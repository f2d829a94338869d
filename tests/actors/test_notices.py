"""By which ways a notice comes, decided from values alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.notices import ALWAYS, DEFAULTS, EVERY_KIND, NoticeKind, Reach, Rule, Waiting, Way, decide, ways_of

NOW = 1_800_000_000.0
kinds = st.sampled_from(NoticeKind)
places = st.integers(0, 3)
where = st.one_of(st.just((0, 0)), st.tuples(st.integers(1, 3), st.just(0)), st.tuples(st.just(0), st.integers(1, 3)))
rules = st.lists(
    st.builds(
        lambda ways, kind, place: Rule(ways, kind, *place), st.integers(0, 15), st.one_of(st.just(EVERY_KIND), kinds.map(int)), where
    ),
    max_size=6,
    unique_by=lambda rule: (rule.kind, rule.space, rule.stream),
)
reaches = st.builds(
    Reach,
    rules,
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 3), unique=True),
    st.lists(st.integers(4, 6), unique=True),
    st.sampled_from([0.0, NOW - 1, NOW + 600]),
    st.frozensets(st.integers(-2, 10)),
)
notices = st.lists(
    st.builds(Waiting, st.integers(1, 50), kinds, places, places, st.sampled_from([NOW - 100, NOW - 1]), st.booleans()),
    max_size=8,
    unique_by=lambda notice: notice.seq,
)


def test_every_kind_comes_somehow_to_who_has_said_nothing() -> None:
    assert set(DEFAULTS) == set(NoticeKind) and all(way & Way.INBOX for way in DEFAULTS.values())


@given(kinds, places, places, rules)
def test_the_narrowest_rule_decides_and_security_has_none(kind: NoticeKind, space: int, stream: int, said: list[Rule]) -> None:
    ways = ways_of(kind, space, stream, said)
    if kind in ALWAYS:
        assert ways == DEFAULTS[kind]
        return
    by_place = {(rule.space, rule.stream, rule.kind): rule.ways for rule in said}
    for place in dict.fromkeys(((0, stream), (space, 0), (0, 0)) if stream else ((space, 0), (0, 0))):
        for about in (int(kind), EVERY_KIND):
            if (*place, about) in by_place:
                said_ways = by_place[(*place, about)]
                assert ways == (Way(said_ways) | Way.INBOX if said_ways else Way.OFF)
                return
    assert ways == DEFAULTS[kind]


@given(notices, reaches)
def test_each_notice_is_settled_or_looked_at_again_and_goes_where_it_may(waiting: list[Waiting], reach: Reach) -> None:
    verdict = decide(waiting, reach, NOW, 90.0)
    open_ = {notice.seq for notice in waiting} - set(verdict.settled)
    assert bool(open_) == bool(verdict.again_at) and (not verdict.again_at or NOW < verdict.again_at <= NOW + 600)
    by_seq = {notice.seq: notice for notice in waiting}
    assert len(verdict.settled) == len(set(verdict.settled)) and not set(verdict.mail) & set(verdict.digest)
    for seq in (*verdict.mail, *verdict.digest, *(seq for seqs in verdict.push.values() for seq in seqs)):
        notice = by_seq[seq]
        assert seq in verdict.settled
        if notice.kind not in ALWAYS:
            assert not notice.read and (reach.quiet_until <= NOW or seq in verdict.digest), "a digest has a time of its own"
    for subscription, seqs in verdict.push.items():
        assert subscription in reach.offline or all(by_seq[seq].kind in ALWAYS for seq in seqs), "not to a device that is online"
    assert not verdict.mail or reach.mail
    assert not verdict.digest or (reach.mail and reach.digests)
    for notice in waiting:
        if notice.kind in ALWAYS:
            assert notice.seq in verdict.settled and (notice.seq in verdict.mail) == reach.mail, "at any hour, whatever is preferred"
            assert all(notice.seq in verdict.push.get(to, ()) for to in (*reach.offline, *reach.online))
