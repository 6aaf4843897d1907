"""What a fault did: one row, and the table at the end."""

from dataclasses import dataclass, fields

UNKNOWN = "-"


@dataclass(frozen=True)
class Row:
    """One injected fault."""

    fault: str
    expected: str
    observed: str
    message: str  # what a person saw
    equal: bool | None  # the bytes after resuming are those of the undisturbed run; None: it could not be tried
    good: bool

    def cells(self) -> list[str]:
        equal = UNKNOWN if self.equal is None else "yes" if self.equal else "NO"
        verdict = "skipped" if self.equal is None and self.good else "good" if self.good else "BAD"
        return [self.fault, self.expected, self.observed, self.message, equal, verdict]


def skipped(fault: str, reason: str) -> Row:
    """A fault that cannot be injected here."""
    return Row(fault, UNKNOWN, "not tried", reason, None, True)


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    head = [entry.name for entry in fields(Row)]
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def message_of(said: str, longest: int = 220) -> str:
    """Our message in what a command printed, on one line; else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ours = [place for place, line in enumerate(lines) if line.startswith(("emoriff: ", "waiting for "))]
    if ours:
        chosen = lines[ours[0] : ours[0] + 1]
        for line in lines[ours[0] + 1 :]:
            if not line.startswith(("where:", "expected:", "got:", "what to do:")):
                break
            chosen.append(line)
    else:
        chosen = lines[-1:]
    text = "; ".join(chosen)
    return text if len(text) <= longest else text[:longest] + "..."
