"""What would run, whether it would compute anything, and because of what: `emoriff why`.

Comes in: what DVC says is not up to date, and the records of lineage. Goes out: a status per stage with its causes.

- `status.why`: one status per stage, in data-flow order
- `changes`: what differs between two versions of a parameter, a source, a file, a folder
- `text.explain`: the statuses in words, or as JSON
"""
