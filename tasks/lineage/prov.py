"""A lineage in the W3C's terms: **lineage** -> PROV entities, activities and agents -> PROV-JSON or PROV-N.

PROV-DM (W3C Recommendation, 2013): every output version is an entity, every stage an activity that used its
inputs and generated its outputs, the code at its commit the software agent. The host's name stays out,
because this is for publishing.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tasks.core.files import write_text
from tasks.core.layout import BASE
from tasks.lineage.trace import Lineage, Link

if TYPE_CHECKING:
    from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvEntity

NAMESPACE = "urn:emoriff:"


def provenance(found: Lineage, out: Path | None) -> str:
    """PROV-JSON as text; with `out` the file is written instead (PROV-N for .provn) and its path given."""
    document = prov_document(found)
    notation = out is not None and out.suffix == ".provn"
    text = document.get_provn() if notation else str(document.serialize(indent=1))
    if out is None:
        return text
    write_text(out, text + "\n")
    return str(out)


def prov_document(found: Lineage) -> "ProvDocument":
    """The lineage as a PROV document."""
    from prov.model import ProvDocument

    document = ProvDocument()
    document.add_namespace("emoriff", NAMESPACE)
    artifact = entity(document, found.artifact, found.md5, facts=json.dumps(found.facts, sort_keys=True, default=str))
    for link in found.links:
        add_link(document, link, found)
    for out, md5 in found.links[0].outputs.items():
        if out != found.artifact and found.artifact.startswith(out + "/"):
            document.hadMember(entity(document, out, md5), artifact)
    for role, ids in found.songs.items():
        facts = {one["song_id"]: one for one in found.song_facts}
        for song in ids:
            document.wasDerivedFrom(artifact, song_entity(document, facts[song]), other_attributes={"prov:role": role})
    return document


def add_link(document: "ProvDocument", link: Link, found: Lineage) -> None:
    """One stage: its activity, what it used and generated, and the code it ran."""
    activity = activity_of(document, link)
    for path, md5 in link.inputs.items():
        document.used(activity, entity(document, path, md5))
    for path, md5 in link.outputs.items():
        document.wasGeneratedBy(entity(document, path, md5), activity)
    document.wasAssociatedWith(activity, code_agent(document, link))
    if BASE.as_posix() in link.outputs:
        revision = found.base.get("revision") or "unpinned"
        model = document.entity(
            f"emoriff:base-model/{revision}",
            {"prov:type": "emoriff:BaseModel", "emoriff:repository": str(found.base.get("repository"))},
        )
        document.used(activity, model)


def activity_of(document: "ProvDocument", link: Link) -> "ProvActivity":
    """The run of a stage, with its times where they are recorded."""
    attributes: dict[str, Any] = {
        "prov:label": link.stage,
        "emoriff:parameters": json.dumps(link.parameters, sort_keys=True),
        "emoriff:evidence": link.evidence,
    }
    if link.run:
        attributes["emoriff:seeds"] = json.dumps(link.run.seeds, sort_keys=True)
        attributes["emoriff:machine"] = f"{link.run.environment.processor}; {link.run.environment.system}"
    times = (link.run.started, link.run.ended) if link.run else (None, None)
    return document.activity(f"emoriff:run/{link.run.id if link.run else link.id}", times[0], times[1], attributes)


def code_agent(document: "ProvDocument", link: Link) -> "ProvAgent":
    """The project's code as it was for this stage."""
    name = f"emoriff:code/{link.code.commit or 'unknown'}{'-modified' if link.code.dirty else ''}"
    attributes: dict[str, Any] = {"prov:type": "prov:SoftwareAgent", "prov:label": "emoriff"}
    if link.run:
        versions = {"python": link.run.environment.python, **link.run.environment.packages}
        attributes["emoriff:versions"] = json.dumps(versions, sort_keys=True)
    known = document.get_record(name)
    return cast("ProvAgent", known[0]) if known else document.agent(name, attributes)


def entity(document: "ProvDocument", path: str, md5: str | None, **facts: str) -> "ProvEntity":
    """A version of a file or folder; each once."""
    name = f"emoriff:{(md5 or 'unknown').removesuffix('.dir')}/{path}"
    known = document.get_record(name)
    if known:
        return cast("ProvEntity", known[0])
    attributes = {"prov:label": path, **({"emoriff:md5": md5} if md5 else {})}
    return document.entity(name, attributes | {f"emoriff:{key}": value for key, value in facts.items()})


def song_entity(document: "ProvDocument", facts: dict[str, Any]) -> "ProvEntity":
    """A song by its source file's hash."""
    source = facts.get("source", {})
    attributes = {
        "prov:type": "emoriff:Song",
        "emoriff:song_id": facts["song_id"],
        "emoriff:file": source.get("file"),
        "emoriff:sha256": source.get("sha256"),
        "emoriff:label": json.dumps(facts.get("label"), sort_keys=True, default=str),
    }
    known = {key: value for key, value in attributes.items() if value is not None}
    return document.entity(f"emoriff:song/{facts['song_id']}", known)
