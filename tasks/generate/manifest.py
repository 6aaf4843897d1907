"""data/generated/EXPERIMENT/manifest.parquet: rows of clips -> **the table** -> evaluate, report, playground."""

from typing import Any

import pandas as pd

FILES = ("png", "wav", "listening", "sidecar")  # columns that name a clip's files, in the order they are written
COLUMNS = {
    "experiment": "str",
    "emotion": "str",
    "seed": "int64",
    **dict.fromkeys(FILES, "str"),
    "seconds": "float64",
    "sha256": "str",
}


def manifest(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The table of clips, sorted by emotion and seed; columns as in COLUMNS."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS).sort_values(["emotion", "seed"])
