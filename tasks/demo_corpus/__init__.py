"""The demo's own data set: rules of composition -> pieces -> **DEAM-like archives**.

Comes in: CorpusParams and a seed. Goes out: archives packed like DEAM, with its defects.

- `corpus.render`: the archives
- `composition`: what a piece of a valence and an arousal is made of, with sources
- `deam_format`: how DEAM packs songs, annotations and metadata
"""
