"""Is what was acknowledged there, once, in one order? Pure: posts and the log in, what is wrong out.

Invariant: a post that was acknowledged stands in the log once, where the acknowledgement said, by its author; one without an outcome at
most once; what one device said in a stream stands there in the order in which it said it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from proofs.faulting.copies import Post


class Row(Struct, frozen=True):
    """One event of the log."""

    stream: int
    seq: int
    author: int
    text: str
    """Empty for what nobody said."""


class Ledger:
    """Everything that was said and everything that the log has of it, from the first round on."""

    def __init__(self) -> None:
        self._posts: dict[int, Post] = {}
        self._rows: dict[int, list[Row]] = {}
        self._heads: dict[int, int] = {}

    @property
    def acknowledged(self) -> int:
        return sum(post.seq > 0 for post in self._posts.values())

    def said(self, posts: Iterable[Post]) -> None:
        """These have an outcome now."""
        for post in posts:
            self._posts[post.number] = post

    def logged(self, rows: Iterable[Row]) -> list[str]:
        """The log's next rows, by stream and ascending. Returns what is wrong with them by themselves."""
        wrong = []
        for row in rows:
            expected = self._heads.get(row.stream, 0) + 1
            if row.seq != expected:
                wrong.append(f"order: the log of stream {row.stream} has event {row.seq} where {expected} belongs")
            self._heads[row.stream] = row.seq
            number = number_of(row.text)
            if number is not None:
                self._rows.setdefault(number, []).append(row)
        return wrong

    def judge(self) -> list[str]:
        """What is wrong with everything that is known so far. To be asked when the log has been read to its end."""
        wrong = []
        for number in sorted(self._posts):
            wrong += self._judge_one(self._posts[number], self._rows.get(number, []))
        return wrong + self._judge_order()

    def _judge_one(self, post: Post, rows: list[Row]) -> list[str]:
        wrong = []
        what = f"post {post.number} of device {post.device}"
        if len(rows) > 1:
            wrong.append(f"twice: {what} stands in the log {len(rows)} times: {[(row.stream, row.seq) for row in rows]}")
        if post.refusal:
            wrong.append(f"refused: {what}, which had the right to say it: {post.refusal}")
        elif not rows:
            wrong.append(f"lost: {what} was acknowledged as {post.seq} of stream {post.stream}, and is not in the log")
        elif (post.stream, post.seq, post.user) not in [(row.stream, row.seq, row.author) for row in rows]:
            wrong.append(f"wrong: {what} was acknowledged as {post.seq} of stream {post.stream}; the log has {rows}")
        elif post.text and rows[0].text != post.text:
            wrong.append(f"wrong: {what} has another text in the log: {rows[0].text[:60]!r}")
        return wrong

    def _judge_order(self) -> list[str]:
        """What one device says in one stream keeps its order."""
        wrong = []
        last: dict[tuple[int, int], Post] = {}
        for number in sorted(self._posts):
            post = self._posts[number]
            if post.seq:
                before = last.get((post.device, post.stream))
                if before is not None and before.seq >= post.seq:
                    said = f"device {post.device} said post {before.number} before {post.number}"
                    wrong.append(f"swapped: {said}; stream {post.stream} has them as {before.seq} and {post.seq}")
                last[post.device, post.stream] = post
        return wrong

    def strangers(self, first: int) -> list[str]:
        """Rows numbered from `first` on that nobody said; to be asked when no post is open."""
        return [f"unheard of: {rows[0]}" for number, rows in self._rows.items() if number >= first and number not in self._posts]


def number_of(text: str) -> int | None:
    """A post's number is what its text begins with."""
    head, colon, _ = text.partition(":")
    return int(head) if colon and head.isdecimal() else None
