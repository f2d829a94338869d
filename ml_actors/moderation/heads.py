"""The learned part: from a text's embedding and n-grams to three calibrated chances, with arrays alone.

    plain text ─ unnamed ─▶ pieces ─┬▶ embedding ─▶ hidden layers ─▶ logit ─┐
                                    └▶ grams x rarity ─▶ weights ─▶ logit ──┴▶ stacked, calibrated ─▶ TOXIC
                                        embedding ─▶ how much of it ─▶ HATE, INSULT, as shares of TOXIC

A text is as harmful as its worst piece. HATE and INSULT cannot be above TOXIC: they say of what is toxic what it is.

Invariant: the arithmetic is that of the scikit-learn models that were fitted (a test compares), and no object is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ml_actors.embeddings import DIMENSIONS, Embeddings
from ml_actors.kinds import Unusable
from ml_actors.moderation.grams import BUCKETS, grams, weighted
from ml_actors.moderation.naming import unnamed
from ml_actors.moderation.writing import folded, pieces, plain

FILE: Final = "heads.npz"
CORRECTION_FILE: Final = "correction.npz"
EMBEDDED_MAX: Final = 24
"""Pieces of one text that are embedded: a whole lesson of 20,000 code points takes 40 ms and not 300, and a batch of them ends in time. Its
other pieces have no n-gram that is worse."""
SCALE: Final = 8.0
"""Embeddings have length 1, that is, entries of about 0.04: networks learn from larger ones."""

Array = NDArray[np.float32]
Chances = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Embeddings]

_SHAPES: Final[dict[str, tuple[int | None, ...]]] = {
    "rarity": (BUCKETS,),
    "gram_weights": (BUCKETS,),
    "gram_bias": (),
    "hidden_weights": (None, DIMENSIONS, None),
    "hidden_bias": (None, None),
    "out_weights": (None, None),
    "out_bias": (None,),
    "stack": (3,),
    "kinds_weights": (2, DIMENSIONS),
    "kinds_bias": (2,),
}
"""Arrays of a version, with their shapes; None: any."""


class Seen(Struct, frozen=True):
    """What heads look at: one row a piece. `of`: which text a piece belongs to; `named`: whether it names a group."""

    plain: list[str]
    of: NDArray[np.int64]
    named: NDArray[np.bool_]
    embeddings: Embeddings
    rows: NDArray[np.int64]
    buckets: NDArray[np.int64]


def see(texts: Sequence[str], embed: Embed, *, naming: bool = True) -> Seen:
    """Normalises, cuts, embeds and hashes texts. Blocks for about 1.5 ms a short text. `naming`: whether names of groups are taken out;
    False shows how a group fares that no list has."""
    return see_plain([plain(text) for text in texts], embed, naming=naming)


def see_plain(plains: Sequence[str], embed: Embed, *, naming: bool = True, rank: Callable[[Seen], Chances] | None = None) -> Seen:
    """The same of texts that are normalised already. With `rank` (a figure a piece, from n-grams alone) at most `EMBEDDED_MAX` pieces of
    a text are embedded and returned: those that rank highest, in their order."""
    cut: list[str] = []
    of: list[int] = []
    named: list[bool] = []
    for place, text in enumerate(plains):
        for piece in pieces(text):
            bare, names = unnamed(piece)
            cut.append(bare if naming else piece)
            of.append(place)
            named.append(names > 0)
    rows, buckets = grams([folded(piece) for piece in cut])
    none = np.zeros((0, DIMENSIONS), dtype=np.float32)
    seen = Seen(list(plains), np.array(of, dtype=np.int64), np.array(named, dtype=np.bool_), none, rows, buckets)
    if rank is not None and len(cut) > EMBEDDED_MAX:
        kept = _highest(rank(seen), seen.of)
        new = np.full(len(cut), -1, dtype=np.int64)
        new[kept] = np.arange(len(kept))
        stay = new[rows] >= 0
        seen = Seen(seen.plain, seen.of[kept], seen.named[kept], none, new[rows][stay], buckets[stay])
        cut = [cut[place] for place in kept]
    return msgspec.structs.replace(seen, embeddings=embed(cut))


def _highest(ranks: Chances, of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the `EMBEDDED_MAX` highest of each text, in order."""
    order = np.lexsort((-ranks, of))
    begin = np.searchsorted(of[order], of[order])
    return np.sort(order[np.arange(len(of)) - begin < EMBEDDED_MAX])


def sigmoid(logits: Chances) -> Chances:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float64)


class Heads:
    """The arrays of a version."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        """Raises `Unusable` for arrays that are missing, or have another shape, or hold what is no number."""
        for name, shape in _SHAPES.items():
            found = arrays.get(name)
            if found is None:
                raise Unusable(f"{FILE} has no array {name}")
            if found.ndim != len(shape) or any(want is not None and have != want for have, want in zip(found.shape, shape, strict=True)):
                raise Unusable(f"{FILE}: {name} has shape {found.shape}; expected {shape}")
            if found.dtype.kind != "f" or not np.isfinite(found).all():
                raise Unusable(f"{FILE}: {name} holds what is not a number")
        networks, hidden = arrays["hidden_bias"].shape
        if (
            arrays["hidden_weights"].shape != (networks, DIMENSIONS, hidden)
            or arrays["out_weights"].shape != (networks, hidden)
            or len(arrays["out_bias"]) != networks
        ):
            raise Unusable(f"{FILE}: the layers of the networks do not fit each other")
        self._arrays = {name: np.asarray(arrays[name], dtype=np.float32, order="C") for name in _SHAPES}
        # All networks side by side are one network: one product of matrices instead of one each.
        a = self._arrays
        self._hidden = np.ascontiguousarray(
            a["hidden_weights"].transpose(1, 0, 2).reshape(DIMENSIONS, networks * hidden) * np.float32(SCALE)
        )
        self._hidden_bias = a["hidden_bias"].ravel()
        self._out = a["out_weights"].ravel() / np.float32(networks)
        self._out_bias = float(a["out_bias"].mean())

    @classmethod
    def load(cls, path: Path) -> Heads:
        """Raises `Unusable`."""
        return cls(read_arrays(path))

    def gram_logits(self, seen: Seen) -> Chances:
        """float64[piece]"""
        a = self._arrays
        values = weighted(seen.rows, seen.buckets, a["rarity"], len(seen.of))
        sums = np.bincount(seen.rows, values * a["gram_weights"][seen.buckets], minlength=len(seen.of))
        return np.asarray(sums + float(a["gram_bias"]), dtype=np.float64)

    def embedding_logits(self, embeddings: Embeddings) -> Chances:
        """float64[piece]: the mean over the networks, whose starts were drawn from different seeds."""
        hidden = np.maximum(embeddings @ self._hidden + self._hidden_bias, 0)
        return np.asarray(hidden @ self._out, dtype=np.float64) + self._out_bias

    def logits(self, seen: Seen) -> Chances:
        """float64[piece]: of TOXIC, calibrated."""
        stack = self._arrays["stack"].astype(np.float64)
        return np.asarray(
            stack[0] * self.embedding_logits(seen.embeddings) + stack[1] * self.gram_logits(seen) + stack[2], dtype=np.float64
        )

    def kinds(self, embeddings: Embeddings) -> Chances:
        """float64[piece, 2]: which share of what is toxic and reads like this is hate, and which is an insult."""
        a = self._arrays
        return sigmoid(np.asarray((embeddings * np.float32(SCALE)) @ a["kinds_weights"].T + a["kinds_bias"], dtype=np.float64))


def kinds_of(heads: Heads, embeddings: Embeddings, named: NDArray[np.bool_]) -> Chances:
    """float64[piece, 2]: `Heads.kinds`, with half of the hate where no group is named: contempt without anybody whom it is for is none."""
    shares = heads.kinds(embeddings)
    shares[:, 0] *= np.where(named, 1.0, 0.5)
    return shares


class Correction:
    """What a community's decisions add to a version: a small shift of the logit, by the embedding. Zero where nothing was learned."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        weights, line = arrays.get("weights"), arrays.get("line")
        if weights is None or line is None or weights.shape != (DIMENSIONS,) or line.shape != (2,):
            raise Unusable(f"{CORRECTION_FILE}: expected weights of {DIMENSIONS} and line of 2")
        if not np.isfinite(weights).all() or not np.isfinite(line).all():
            raise Unusable(f"{CORRECTION_FILE} holds what is not a number")
        self._weights = weights.astype(np.float64)
        self._line = line.astype(np.float64)

    def __call__(self, logits: Chances, embeddings: Embeddings) -> Chances:
        return np.asarray(self._line[0] * logits + self._line[1] + embeddings.astype(np.float64) @ self._weights, dtype=np.float64)


def read_arrays(path: Path) -> dict[str, Array]:
    """Raises `Unusable` where it is no archive of plain arrays."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise Unusable(f"{path}: {error}") from error
    except Exception as error:  # zipfile and zlib have errors of their own
        if type(error).__module__ in ("zipfile", "zlib"):
            raise Unusable(f"{path}: {error}") from error
        raise


def worst(chances: Chances, of: NDArray[np.int64], texts: int) -> NDArray[np.int64]:
    """For each text the place of its piece with the highest chance: int64[text]."""
    order = np.lexsort((chances, of))
    last = np.searchsorted(of[order], np.arange(texts), side="right") - 1
    return np.asarray(order[last], dtype=np.int64)
