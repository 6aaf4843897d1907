"""What people use beside the pipeline: one clip, the playground, a listening test, profiles.

- `single_clip.generate_clip`: `emoriff generate PROMPT`
- `playground.launch`: the page of `emoriff play`
- `listening.make`, `listening.read_answers`: a blind listening test
- `profiles.use_profile`: `emoriff use`
- `export_clips.write_clips`: the clips that evaluate compares, for embeddings made elsewhere
"""
