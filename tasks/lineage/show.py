"""What `emoriff lineage` prints: a file or a song, and a form -> **text**."""

from pathlib import Path

from tasks.core.errors import InputError
from tasks.lineage.trace import as_json, trace


def show(root: Path, file: Path | None, downstream: str | None, form: str, out: Path | None) -> str:
    """What `emoriff lineage` prints.

    Raises:
        InputError: neither a file nor a song, an unknown form, or an artifact that no stage made.
    """
    if downstream is not None:
        from tasks.lineage.downstream import show_downstream

        return show_downstream(root, downstream, form)
    if file is None:
        raise InputError("nothing asked", todo="give a file, or --downstream SONG")
    found = trace(root, file)
    if form == "tree":
        from tasks.lineage.tree import tree

        return tree(found)
    if form == "json":
        return as_json(found, indent=1)
    if form == "prov":
        from tasks.lineage.prov import provenance

        return provenance(found, out)
    if form == "crate":
        from tasks.lineage.crate import write_crate

        return write_crate(root, found, out)
    raise InputError("unknown form", got=form, expected="tree, json, prov or crate")
