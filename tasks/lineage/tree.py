"""A lineage as a person reads it: **lineage** -> text."""

from typing import Any

from tasks.lineage.machine import Environment
from tasks.lineage.trace import Lineage, Link

SHOWN_SONGS = 12
SHOWN_LINES = 4  # of parameters or facts
WIDTH = 100  # of a line of parameters


def tree(found: Lineage) -> str:
    """The artifact, the stages behind it as a tree of inputs, then songs, labels, base model and seeds."""
    lines = [f"{found.artifact}  {short(found.md5)}  {found.state}"]
    lines += [f"  {line}" for line in cut(wrapped(flat(found.facts)), "facts")]
    links = {link.id: link for link in found.links}
    if found.links:
        lines += branch(found.links[0], links, "", set())
    for title, body in (
        ("songs", songs(found)),
        ("annotations", [f"{name}  {short(md5)}" for name, md5 in found.annotations.items()]),
        (
            "corrections",
            wrapped(flat({k: v for k, v in found.corrections.items() if k not in ("parts", "files", "refused")})),
        ),
        ("base model", wrapped(flat({k: v for k, v in found.base.items() if k != "facts" and v is not None}))),
        ("seeds", wrapped(flat(found.seeds))),
        ("machine and versions", machines(found)),
        ("notes", list(found.notes)),
    ):
        lines += ["", title, *(f"  {line}" for line in body)] if body else []
    return "\n".join(lines)


def branch(link: Link, links: dict[str, Link], indent: str, seen: set[str]) -> list[str]:
    """A stage, then each of its inputs with the stages that made it; a stage met before is only named."""
    again = link.id in seen
    lines = [f"{indent}made by {link.stage}" + (" (above)" if again else f"  {circumstances(link)}")]
    if again:
        return lines
    seen.add(link.id)
    lines += [f"{indent}  {line}" for line in parameters(link)]
    for position, (path, md5) in enumerate(sorted(link.inputs.items())):
        last = position == len(link.inputs) - 1
        lines.append(f"{indent}{'└─' if last else '├─'} {path}  {short(md5)}")
        for maker in link.made_by.get(path, []):
            lines += branch(links[maker], links, indent + ("   " if last else "│  "), seen)
    return lines


def parameters(link: Link) -> list[str]:
    """The stage's parameters, what is special before what is shared, cut to a few lines."""
    ordered = dict(sorted(link.parameters.items(), key=lambda item: (".defaults" in item[0], item[0])))
    return cut(wrapped(flat(ordered)), "parameters")


def cut(lines: list[str], what: str) -> list[str]:
    """The first lines, and how many more there are."""
    if len(lines) <= SHOWN_LINES + 1:
        return lines
    return [*lines[:SHOWN_LINES], f"({len(lines) - SHOWN_LINES} more lines of {what}: --format json)"]


def circumstances(link: Link) -> str:
    """When, on which machine, by which commit."""
    parts = [f"{link.run.ended[:19]} UTC on {link.run.environment.host}"] if link.run else []
    code = link.code
    if code.commit:
        state = "clean"
        if code.dirty:
            state = "with uncommitted changes" + (f" in {', '.join(code.differs)}" if code.differs else "")
        parts.append(f"commit {code.commit[:10]} ({state})")
    return ", ".join([*parts, link.evidence if not link.run else "recorded"])


def songs(found: Lineage) -> list[str]:
    """Each role with its songs; a single song in full."""
    lines = []
    for role, ids in found.songs.items():
        shown = ", ".join(map(str, ids[:SHOWN_SONGS])) + (", ..." if len(ids) > SHOWN_SONGS else "")
        corrected = sum(1 for facts in found.song_facts if facts["song_id"] in set(ids) and swapped(facts))
        note = f"; {corrected} with corrected labels" if corrected else ""
        lines.append(f"{role} {len(ids)} song{'s' if len(ids) != 1 else ''}: {shown}{note}")
    if len(found.song_facts) == 1:
        lines += wrapped(flat({k: v for k, v in found.song_facts[0].items() if k != "song_id"}))
    elif len(found.song_facts) > SHOWN_SONGS:
        lines.append("(--format json lists each with source, hashes, label and segments)")
    return lines


def swapped(facts: dict[str, Any]) -> bool:
    """Whether valence and arousal of this song were put right."""
    return bool(facts.get("label", {}).get("swapped"))


def machines(found: Lineage) -> list[str]:
    """Each machine and set of versions that took part, with the stages it ran."""
    seen: dict[str, list[str]] = {}
    for link in found.links:
        if link.run:
            seen.setdefault(machine(link.run.environment), []).append(link.stage)
    without = [link.stage for link in found.links if not link.run]
    lines = [line for text, stages in seen.items() for line in [f"{', '.join(stages)}:", *wrapped(text.split("; "))]]
    return lines + ([f"no record here of when and where: {', '.join(without)}"] if without else [])


def machine(environment: Environment) -> str:
    """One machine in words."""
    packages = "; ".join(f"{name} {version}" for name, version in environment.packages.items())
    gpu = f"; {environment.gpu}" if environment.gpu else ""
    return (
        f"{environment.host}; {environment.processor}, {environment.n_processors} processors, "
        f"{environment.memory_gib} GiB; {environment.system}; Python {environment.python}{gpu}; {packages}"
    )


def short(md5: str | None) -> str:
    """A hash, short enough to read and long enough to find."""
    return f"md5 {md5.removesuffix('.dir')[:12]}" if md5 else ""


def flat(values: Any, prefix: str = "") -> list[str]:
    """`a.b value` of every leaf of nested mappings; long lists by their length."""
    if isinstance(values, dict):
        return [
            line for key, value in values.items() for line in flat(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(values, list) and len(str(values)) > WIDTH:
        return [f"{prefix} ({len(values)} entries)"]
    return [f"{prefix} {values}"]


def wrapped(words: list[str]) -> list[str]:
    """Phrases joined by "; " into lines of about `WIDTH` characters."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < WIDTH:
            lines[-1] += f"; {word}"
        else:
            lines.append(word)
    return lines
