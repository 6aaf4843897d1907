"""Sound to spectrogram images and back, in Riffusion's format: waveform <-> **SpectrogramImage** <-> PNG.

In: waveforms float32 [channels, samples], -1..1, and SpectrogramParams. Out: grey images uint8 [n_mels, columns], a
column every `step_ms`, low frequencies at the bottom, dark is loud; three channels when stereo. An image knows its
parameters, its `max_value` (the mel value of pixel 0) and how many columns it stands for, and so does its PNG. With
Riffusion's parameters the pixels are Riffusion's own.

Three functions to know:
- `forward.encode`: a waveform as a SpectrogramImage.
- `inversion.waveform_from_image`: its sound again; phases are estimated, since an image holds none.
- `image.tiles`: the images of a segment, as a model learns them: overlapping tiles, or one square.

Beside them: `image` (the file format, sizes), `mel` (the filter bank), `kernels` (inner loops, compiled), `denoise`
(noise out of generated images), `files` (whole files, for the command line).
"""
