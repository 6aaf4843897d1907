"""Secrets as people keep them near a run: what must never be found in anything that a run writes."""

from pathlib import Path

SECRETS = {
    "AWS_ACCESS_KEY_ID": "PLANTEDAKIA0123456789",
    "AWS_SECRET_ACCESS_KEY": "planted/aws+secret/0123456789abcdef",
    "HF_TOKEN": "hf_planted0123456789abcdefghij",
    "PREFECT_API_KEY": "pnu_planted0123456789abcdefghij",
    "OPENLINEAGE_API_KEY": "planted-openlineage-0123456789",
}
REMOTE_PASSWORD = "planted-remote-password-0123456789"
ALL = [*SECRETS.values(), REMOTE_PASSWORD]


def plant(root: Path) -> None:
    """Credentials of a DVC remote, where DVC's own documentation tells to put them."""
    (root / ".dvc/config.local").write_text(
        "['remote \"planted\"']\n    url = s3://bucket/path\n    access_key_id = PLANTEDAKIA0123456789\n"
        f"    secret_access_key = {REMOTE_PASSWORD}\n"
    )


def found_in(folder: Path) -> list[str]:
    """Files below a folder that hold one of them, but for the place where it was put; tables are looked into."""
    return [
        f"{path.relative_to(folder)}: {secret[:12]}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "config.local"
        for secret in ALL
        if secret.encode() in content(path)
    ]


def content(path: Path) -> bytes:
    """The bytes of a file; of a Parquet table also its cells, which are packed."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    from pyarrow.parquet import ParquetFile

    return path.read_bytes() + str(ParquetFile(path).read().to_pylist()).encode()
