"""What a rehearsal prints: the verdict's counts, and how long things took, in one table and one JSON object. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from proofs.rehearsal.verdict import Verdict


class Spread(Struct, frozen=True):
    """Times of one kind, in milliseconds."""

    count: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        if not seconds:
            return cls()
        ordered = sorted(seconds)

        def quantile_ms(part: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)

        return cls(len(ordered), quantile_ms(0.5), quantile_ms(0.99))


class Figures(Struct, frozen=True):
    """One rehearsal. Bytes are TCP's payload a device and minute of the storm, reconnects and handshakes included."""

    seed: int
    seconds: float
    gateways: int
    users: int
    devices: int
    communities: int
    churn: float
    verdict: Verdict
    healed_s: float
    """From the end of the storm until every copy was whole; below 0: not within the time allowed."""
    acknowledged_unbroken: Spread
    acknowledged_all: Spread
    delivered_unbroken: Spread
    delivered_all: Spread
    longest_repair: int
    sockets: int
    cuts: int
    crashes: int
    """Applications that went down without a word and came back with their store."""
    connected: float
    """The share of all devices' time with an open socket; less than 1 - churn by what backing off and greeting take."""
    up_bytes: float
    down_bytes: float
    kills: Mapping[str, int]
    client_cpu: float
    """Cores that all devices together took during the storm."""

    @property
    def good(self) -> bool:
        return self.verdict.good and self.healed_s >= 0 and not self.verdict.faults


def table(figures: Figures) -> str:
    """For people."""
    verdict = figures.verdict
    kills = ", ".join(f"{kind} {count}" for kind, count in figures.kills.items()) or "none"
    healed = f"{figures.healed_s:.1f} s" if figures.healed_s >= 0 else "NOT within the time allowed"
    rows = [
        ("sent", f"{verdict.sent}"),
        ("acknowledged", f"{verdict.acknowledged}"),
        ("without an outcome at the end", f"{verdict.without_outcome}"),
        ("refused", f"{verdict.refused}"),
        ("lost", f"{verdict.lost}"),
        ("duplicated", f"{verdict.duplicated}"),
        ("out of order", f"{verdict.out_of_order}"),
        ("wrong number, author or text", f"{verdict.wrong}"),
        ("copies compared / differing", f"{verdict.copies} / {verdict.differing}"),
        ("longest gap repaired in one go", f"{figures.longest_repair} events"),
        ("send to acknowledgement, sockets unbroken", _times(figures.acknowledged_unbroken)),
        ("send to acknowledgement, time away included", _times(figures.acknowledged_all)),
        ("send to delivery, sockets unbroken", _times(figures.delivered_unbroken)),
        ("send to delivery, time away included", _times(figures.delivered_all)),
        ("bytes a device and minute, up / down", f"{figures.up_bytes:.0f} / {figures.down_bytes:.0f}"),
        ("sockets opened / cut off", f"{figures.sockets} / {figures.cuts}"),
        ("applications crashed", f"{figures.crashes}"),
        ("time with an open socket, of all devices", f"{100 * figures.connected:.0f} %"),
        ("kills", kills),
        ("healed after the storm in", healed),
        ("cores taken by the devices", f"{figures.client_cpu:.2f}"),
    ]
    title = (
        f"{figures.seconds:g} s, {figures.gateways} gateways, {figures.users} users, {figures.devices} devices, "
        f"{figures.communities} communities, churn {figures.churn:g}, seed {figures.seed}"
    )
    lines = [title, *(f"  {name:<46}{value:>28}" for name, value in rows), *(f"  ! {fault}" for fault in verdict.faults)]
    if figures.kills:
        lines.append("SIGKILL leaves the kernel's page cache: this tried processes, not the disk.")
    return "\n".join(lines)


def _times(spread: Spread) -> str:
    return f"p50 {spread.p50_ms:g} ms, p99 {spread.p99_ms:g} ms" if spread.count else "none"
