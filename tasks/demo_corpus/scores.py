"""A piece on paper: composition -> **score** -> rendering."""

from dataclasses import dataclass, field
from typing import Literal

Part = Literal["lead", "chords", "pad", "bass", "drums"]
PARTS: tuple[Part, ...] = ("lead", "chords", "pad", "bass", "drums")


@dataclass(frozen=True)
class Note:
    """One tone or stroke."""

    start: float  # s
    seconds: float
    pitch: int  # MIDI number, 60 = middle C; of the drums the General MIDI key of the stroke
    velocity: float  # 1 (softest) to 127


@dataclass
class Score:
    """A piece: the notes of each part, and how it is to sound."""

    seconds: float
    loudness: float = 0.5  # 0..1
    brightness: float = 0.5  # 0..1
    parts: dict[Part, list[Note]] = field(default_factory=lambda: {part: [] for part in PARTS})

    @property
    def n_notes(self) -> int:
        """Notes and strokes of all parts."""
        return sum(map(len, self.parts.values()))
