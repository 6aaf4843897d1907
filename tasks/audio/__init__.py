"""Sound files and waveforms: any audio file -> **float32 [channels, samples] in -1..1** -> WAV, MP3, Opus.

In: files in whatever format, trusted in nothing: content decides, not the ending, and every defect that can be heard
becomes a flag. Out: samples with their rate and the decoder that gave them; files whose bytes depend on the sound
alone.

    decoding.py   libsndfile, and ffmpeg for the rest (decode)
    write.py      resampling, 16-bit WAV, small files for a web page (write_wav, write_listening)
    loudness.py   integrated loudness after ITU-R BS.1770-4
    ogg.py        Ogg streams with a fixed serial number, for equal bytes

A shared library: it knows no stage and no parameters. `decode`, `write_wav` and `resample` are the three functions
to know.
"""
