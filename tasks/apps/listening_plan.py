"""Who listens to what in a listening test: systems x emotions -> **plan** -> pages and answers.

Pairs follow the circle method of round-robin tournaments: a round lets every system meet another one once, and each
round is given to one emotion. So every two systems meet equally often, once on each side, and with six systems and five
emotions every system is played equally often with every emotion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

REPETITIONS = 2  # every two systems meet so often, the second time with the sides exchanged


@dataclass(frozen=True)
class Pair:
    """One question: which of two systems sounds more like the emotion? Sides are changed again for each listener."""

    emotion: str
    left: str
    right: str
    repetition: int


def rounds(systems: Sequence[str]) -> list[list[tuple[str, str]]]:
    """Rounds of a tournament: each two systems meet once, nobody twice in a round; with an odd number one rests.

    >>> rounds(["a", "b", "c"])
    [[('b', 'c')], [('a', 'c')], [('b', 'a')]]
    """
    seats: list[str | None] = [*systems, *([None] if len(systems) % 2 else [])]
    found = []
    for index in range(len(seats) - 1):
        half = len(seats) // 2
        met = list(zip(seats[:half], reversed(seats[half:]), strict=True))
        met = [(b, a) if index % 2 else (a, b) for a, b in met]
        found.append([(a, b) for a, b in met if a is not None and b is not None])
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return found


def pairs(systems: Sequence[str], emotions: Sequence[str]) -> list[Pair]:
    """Every two systems REPETITIONS times, spread over the emotions, the sides exchanged each time."""
    return [
        Pair(emotions[(index + repetition) % len(emotions)], *((b, a) if repetition % 2 else (a, b)), repetition)
        for repetition in range(REPETITIONS)
        for index, met in enumerate(rounds(systems))
        for a, b in met
    ]
