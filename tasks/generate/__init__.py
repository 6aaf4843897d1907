"""Stage generate: models/EXPERIMENT -> **data/generated/EXPERIMENT** -> evaluate, report, a person.

In: a pipeline folder, the emotions asked for, GenerateParams, and the SpectrogramParams that say what an image stands
for. Out: per emotion and seed a spectrogram image (PNG), its sound (WAV and a compressed file), a JSON file that says
how it was made, and manifest.parquet (columns: `manifest.COLUMNS`). The noise of a clip depends on the stage's seed,
its emotion and its number alone.

Three functions to know:
- `sampling.generate_long`: images of any length; overlapping windows are denoised together.
- `diffusion.denoise`: latents from noise, with any of the samplers.
- `clip_writer.write_clip`: an image as files, its columns stretched back to their true number first.

Beside them: `sampling.interpolate` (a glide between two emotions), `sampling.vary` (variations of given images),
`generate` (the stage's entry, free of torch).
"""
