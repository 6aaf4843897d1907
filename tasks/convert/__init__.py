"""Stage 2, convert: data/raw/audio -> **data/wav** (ID.wav and manifest.parquet).

In: a file per song in any format that libsndfile or ffmpeg reads. Out: 16-bit WAV of one rate and number of channels,
and a row per song with decoder, duration, peak, loudness and hashes. A song that cannot be used is a row with its
reason; one with a blemish carries flags (truncated, damaged, clipped, ...).

`song_files` pairs ids and files, `convert_song` is the work on one song, `manifest` the table; too many rejected
songs stop the stage (`check_rejected`).
"""
