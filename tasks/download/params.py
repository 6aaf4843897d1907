"""The parameters of the stage download: params.yaml, `download`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tasks.core.messages import without_secrets
from tasks.core.params_base import Block

RawFolder = Literal["audio", "annotations", "metadata"]


class Source(Block):
    """One archive or file of a data set, declared so that provenance is reviewed without running."""

    name: str = Field(pattern=r"^\w[\w.+ -]*$", description="file name in the folder of downloads")
    urls: list[Annotated[str, Field(pattern="^(https?|file)://.")]] = Field(
        min_length=1, description="mirrors in order: http(s)://, or file:// with a path (relative ones too)"
    )
    size_bytes: int | None = Field(ge=1, description="declared size; null: unknown")
    sha256: str | None = Field(
        pattern="^[0-9a-f]{64}$",
        description="declared hash; null: the one in a SHA256SUMS beside the file, else the first one got is kept to",
    )
    licence: str = Field(description="licence of the content")
    citation: str = Field(description="whom to cite")
    members: dict[RawFolder, str] = Field(
        min_length=1,
        description="what to take: folder of data/raw -> glob on the member's file name, at any depth; several with |",
    )
    needs_acknowledgement: bool = Field(description="its licence must be acknowledged in the params")

    @field_validator("urls")
    @classmethod
    def _without_secrets(cls, urls: list[str]) -> list[str]:
        """Parameters go into dvc.lock, records and the page, where a password would stay for ever."""
        if any(without_secrets(url) != url for url in urls):
            raise ValueError("an address holds a password or a key: put user and password into ~/.netrc")
        return urls


class CorpusParams(Block):
    """The demo corpus that the project renders itself."""

    namespace: str = Field(
        pattern=r"^[\w-]+$", description="corpora of other namespaces or seeds share no artist and no song"
    )
    n_artists: int = Field(ge=3, description="artists, each with a style")
    songs_per_artist: int = Field(ge=1, description="songs of each artist")
    seconds: float = Field(ge=5, le=600, description="length of a song (s)")
    raters: int = Field(ge=1, description="listeners whose noisy ratings are averaged")
    rating_std: float = Field(ge=0, description="standard deviation of one rating (points of the 1..9 scale)")
    swap_until_id: int = Field(ge=0, description="ids up to this one get DEAM's valence/arousal swap; 0: none")


class FolderParams(Block):
    """A user's own audio."""

    audio: str = Field(description="folder with audio files named <song_id>.<ext>")
    labels: str = Field(description="CSV with song_id, valence, arousal and optionally artist")
    scale_min: float = Field(description="lowest rating of that CSV")
    scale_max: float = Field(description="highest rating of that CSV")


class DownloadParams(Block):
    """download: sources -> data/raw."""

    sources: list[Source] = Field(description="the archives, each declared with addresses, hash, licence, citation")
    corpus: CorpusParams | None = Field(description="render the demo corpus first; null: no")
    folder: FolderParams | None = Field(description="take a user's folder instead of archives; null: no")
    watch: str = Field(description="a file or folder from outside whose change makes the download run again")
    acknowledge_noncommercial: bool = Field(description="set true after reading the licence of the source")
    retries: int = Field(ge=0, le=20, description="tries without headway after the first, each mirror")
    backoff_seconds: float = Field(ge=0, description="first wait (s), doubled each time")
    stall_seconds: float = Field(gt=0, description="give up a connection without a byte for so long (s)")
    max_unpacked_gib: float = Field(gt=0, description="refuse archives that unpack to more (GiB)")
    max_ratio: float = Field(gt=1, description="refuse members that expand more than this")
