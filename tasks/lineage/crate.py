"""A lineage for publishing: **lineage** + artifact -> RO-Crate folder.

RO-Crate 1.1 (Soiland-Reyes et al. 2022) after the profile Process Run Crate: the artifact with its sidecars,
one CreateAction per stage, the software at its commit, and beside them lineage.json and PROV-JSON. What went
in is described with its hash, not copied: the songs' licence may not allow it. The host's name stays out.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.core.errors import InputError
from tasks.core.files import write_json
from tasks.core.layout import GENERATED, SOURCES
from tasks.core.reading import json_of
from tasks.lineage.prov import provenance
from tasks.lineage.trace import Lineage, Link, as_json
from tasks.lineage.upstream import covers

if TYPE_CHECKING:
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"


def write_crate(root: Path, found: Lineage, out: Path | None) -> str:
    """Write the crate into `out` (default: the artifact's name with -crate, in the current folder); its path.

    Raises:
        InputError: `out` is not empty, or the artifact is not here.
    """
    from rocrate.rocrate import ROCrate

    target = out or Path(f"{Path(found.artifact).stem}-crate")
    if target.exists() and any(target.iterdir()):
        raise InputError("the crate's folder is not empty", where=target, todo="name another with --out")
    if not (root / found.artifact).exists():
        raise InputError("the artifact is not here", where=found.artifact, todo="`dvc pull` or `emoriff repro`")
    target.mkdir(parents=True, exist_ok=True)
    crate = ROCrate(version="1.1")
    describe(crate, root, found)
    results = add_artifact(crate, root, found)
    write_json(target / "lineage.json", publishable(found))
    provenance(found, target / "provenance.json")
    for name, text in (("lineage.json", "The whole lineage"), ("provenance.json", "The lineage as W3C PROV-JSON")):
        crate.add_file(target / name, properties={"name": text, "encodingFormat": "application/json"})
    software = add_software(crate, found)
    actions = [add_action(crate, link, software, results if link is found.links[0] else []) for link in found.links]
    crate.root_dataset["mentions"] = actions
    crate.write(target)
    return str(target)


def describe(crate: "ROCrate", root: Path, found: Lineage) -> None:
    """The crate's own facts: name, licence, date (of the run, so that the same lineage gives the same crate)."""
    from rocrate.model.contextentity import ContextEntity

    crate.name = found.artifact
    crate.description = f"{found.artifact} and how it was made, by emoriff"
    crate.license = licences(root)
    ended = [link.run.ended for link in found.links if link.run]
    if ended:
        crate.datePublished = max(ended)
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = [crate.add(ContextEntity(crate, PROFILE, properties=profile))]


def licences(root: Path) -> str:
    """The licences of the sources, as declared."""
    path = root / SOURCES
    if not path.is_file():
        return "not declared"
    rows = json_of(path).get("sources")
    named = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return "; ".join(sorted({str(row["licence"]) for row in named if row.get("licence")})) or "not declared"


def publishable(found: Lineage) -> dict[str, Any]:
    """The lineage without host names."""
    values: dict[str, Any] = json.loads(as_json(found))
    for link in values["links"]:
        if link["run"]:
            del link["run"]["environment"]["host"]
    return values


def add_artifact(crate: "ROCrate", root: Path, found: Lineage) -> list[Any]:
    """The artifact's files: a folder whole, a generated clip with its picture, audio and sidecar."""
    place = root / found.artifact
    if place.is_dir():
        known = {"identifier": f"md5:{found.md5}"} if found.md5 else {}  # none of a folder too large to read in passing
        return [crate.add_dataset(place, place.name, properties={"name": found.artifact, **known})]
    beside = [place]
    if covers(GENERATED, found.artifact):
        beside = sorted(path for path in place.parent.glob(f"{place.stem}.*") if path.is_file())
    return [crate.add_file(path, path.name, properties={"name": path.name}, record_size=True) for path in beside]


def add_software(crate: "ROCrate", found: Lineage) -> "ContextEntity":
    """This project at the artifact's commit, with the packages that took part."""
    from rocrate.model.contextentity import ContextEntity

    code, run = found.links[0].code, next((link.run for link in found.links if link.run), None)
    versions = {"python": run.environment.python, **run.environment.packages} if run else {}
    properties = {
        "@type": "SoftwareApplication",
        "name": "emoriff",
        "version": f"{code.commit or 'unknown'}{' with uncommitted changes' if code.dirty else ''}",
        "softwareRequirements": [f"{name} {version}" for name, version in versions.items()],
    }
    return crate.add(ContextEntity(crate, "#emoriff", properties=properties))


def add_action(crate: "ROCrate", link: Link, software: "ContextEntity", results: list[Any]) -> "ContextEntity":
    """The run of one stage."""
    properties: dict[str, Any] = {
        "@type": "CreateAction",
        "name": link.stage,
        "description": f"parameters {json.dumps(link.parameters, sort_keys=True)}",
    }
    if link.run:
        properties |= {"startTime": link.run.started, "endTime": link.run.ended}
    return crate.add_action(
        software,
        identifier=f"#{link.run.id if link.run else link.id}",
        object=[version(crate, path, md5) for path, md5 in sorted(link.inputs.items())],
        result=results + [version(crate, path, md5) for path, md5 in sorted(link.outputs.items())],
        properties=properties,
    )


def version(crate: "ROCrate", path: str, md5: str) -> "ContextEntity":
    """A version of a file or folder that is described, not copied."""
    from rocrate.model.contextentity import ContextEntity

    properties = {"@type": "CreativeWork", "name": path, "identifier": f"md5:{md5}"}
    return crate.add(ContextEntity(crate, f"#{md5}/{path}", properties=properties))
