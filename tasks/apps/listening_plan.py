"""Who hears what in a listening test: arms x emotions -> **plan** -> pages and answers.

Pairs follow the circle method of round-robin tournaments: a round lets every arm meet another one once, and each
round is given to one emotion. So every two arms meet equally often, once on each side, and with six arms and five
emotions every arm is heard equally often with every emotion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

REPETITIONS = 2  # every two arms meet so often, the second time with the sides exchanged


@dataclass(frozen=True)
class Pair:
    """One question: which of two arms sounds more like the emotion? Sides are changed again for each listener."""

    emotion: str
    left: str
    right: str
    repetition: int


def rounds(arms: Sequence[str]) -> list[list[tuple[str, str]]]:
    """Rounds of a tournament: each two arms meet once, nobody twice in a round; with an odd number one rests.

    >>> rounds(["a", "b", "c"])
    [[('b', 'c')], [('a', 'c')], [('b', 'a')]]
    """
    seats: list[str | None] = [*arms, *([None] if len(arms) % 2 else [])]
    found = []
    for index in range(len(seats) - 1):
        half = len(seats) // 2
        met = list(zip(seats[:half], reversed(seats[half:]), strict=True))
        met = [(b, a) if index % 2 else (a, b) for a, b in met]
        found.append([(a, b) for a, b in met if a is not None and b is not None])
        seats = [seats[0], seats[-1], *seats[1:-1]]
    return found


def pairs(arms: Sequence[str], emotions: Sequence[str]) -> list[Pair]:
    """Every two arms REPETITIONS times, spread over the emotions, the sides exchanged each time."""
    return [
        Pair(emotions[(index + repetition) % len(emotions)], *((b, a) if repetition % 2 else (a, b)), repetition)
        for repetition in range(REPETITIONS)
        for index, met in enumerate(rounds(arms))
        for a, b in met
    ]
