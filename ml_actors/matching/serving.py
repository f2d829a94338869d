"""The matching model, as its process runs it: a roster that is fed, and questions answered over all of it.

version folder: weights.json ─▶ weights        feed: Here, Gone ─▶ roster        answer: Match ─▶ Matches
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from actors.inference import FACTORS, WEIGHTS, Match, Matches, Seeker
from actors.model_book import FeedRow, Gone, Here
from ml_actors.embeddings import Embedder
from ml_actors.kinds import Options, Unusable
from ml_actors.matching.factors import fit
from ml_actors.matching.ranking import EVENING, note_shown, rank, tell
from ml_actors.matching.roster import Roster
from ml_actors.matching.vocabulary import Embed, Vocabulary

WEIGHTS_FILE: Final = "weights.json"


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """What each factor counts, in the order of `FACTORS`: not negative, together 1. `evening`: see `ranking`."""

    weights: Annotated[tuple[Annotated[float, Meta(ge=0.0, le=1.0)], ...], Meta(min_length=len(FACTORS), max_length=len(FACTORS))] = WEIGHTS
    evening: Annotated[float, Meta(ge=0.0, le=1.0)] = EVENING

    def __post_init__(self) -> None:
        if abs(sum(self.weights) - 1.0) > 1e-6:
            raise ValueError(f"the weights of {', '.join(FACTORS)} are to sum to 1, not {sum(self.weights)}")


def read_weights(folder: Path) -> Weights:
    """Raises `Unusable` where there are none, or they are not such."""
    try:
        return msgspec.json.decode((folder / WEIGHTS_FILE).read_bytes(), type=Weights)
    except (OSError, msgspec.MsgspecError) as error:
        raise Unusable(f"{folder / WEIGHTS_FILE}: {error}") from error


def load(folder: Path, options: Options) -> Matching:
    """Raises `Unusable`. It is arithmetic over columns: there is nothing that another device or runtime would do."""
    if options.runtime != "embedded" or options.device != "cpu":
        raise Unusable(f"matching runs embedded on the cpu, not as {options.runtime} on {options.device}")
    return Matching(read_weights(folder), Embedder())


_fed: Final[msgspec.msgpack.Decoder[FeedRow]] = msgspec.msgpack.Decoder(FeedRow)


class Matching:
    """Fits `ml_actors.kinds.Model`. Not for threads."""

    def __init__(self, weights: Weights, embed: Embed) -> None:
        self._weights = weights
        self.roster = Roster(Vocabulary(embed))

    def warm(self) -> None:
        """Embeds what was fed, and answers one question, so that the first person does not wait for it."""
        self.roster.vocabulary.settle()
        self._match(Match(Seeker(user=0, subjects=("mathematics",), languages=("en",), hours=(1,) * 7)), counted=False)

    def feed(self, rows: Sequence[bytes]) -> None:
        """Takes in candidates and removals, later ones over earlier ones. Raises `msgspec.DecodeError` for what is neither."""
        for row in rows:
            match _fed.decode(row):
                case Here(candidate):
                    self.roster.put(candidate)
                case Gone(user):
                    self.roster.drop(user)
        self.roster.vocabulary.settle()

    def answer(self, batch: Sequence[Match]) -> list[Matches]:
        """One answer each, in order. What is shown to one counts for the next."""
        return [self._match(one) for one in batch]

    def _match(self, asked: Match, *, counted: bool = True) -> Matches:
        fitting = fit(self.roster, asked.seeker, asked.without)
        ranked = rank(self.roster, fitting, asked.seeker, self._weights.weights, asked.limit, self._weights.evening)
        if counted:
            note_shown(self.roster, fitting, ranked)
        told = tell(self.roster, fitting, ranked, asked.seeker, self._weights.weights)
        return Matches(matches=told, considered=fitting.considered, fitting=len(fitting.rows))
