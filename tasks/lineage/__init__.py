"""Where every result comes from, and what a change will cost: the questions `emoriff lineage` and `emoriff why`.

In: dvc.yaml and dvc.lock with their git history, the tables of data/, and what each run recorded in
.emoriff/lineage/runs.jsonl. A fresh clone has no records; then hashes, git and the tables alone answer, and
`evidence` says so. Nothing here knows a stage by name: a stage added to dvc.yaml is traced like the others.

Out: text for a person, JSON, W3C PROV, an RO-Crate, and OpenLineage events while a stage runs.

    records.py    a stage's run is recorded (recorded), its events are sent by openlineage.py
    history.py    dvc.lock, its versions in git, and the records become steps (steps)
    trace.py      from an artifact back to songs, labels, parameters, code and machine (trace)
    downstream.py from a song forward to every file, model and clip (downstream)
    why.py        which stages would run, which songs would be computed, and because of what (why)

`recorded`, `trace` and `why` are the three functions to know. `lineage` answers without DVC, pandas and Prefect,
because their import would take longer than the answer.
"""
