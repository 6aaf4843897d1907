"""The demo's own data set: rules of composition -> pieces -> **DEAM-like archives**.

Comes in: CorpusParams and a seed. Goes out: archives packed like DEAM, with its defects.

- `corpus.render`: the archives; `deam_format`: how DEAM packs songs, annotations and metadata
- `cues`: what shows valence and arousal, with sources; `styles`: what is an artist's own
- `composition.compose`: a score in phrases; `rendering.waveform`: the score played by sampled instruments
"""
