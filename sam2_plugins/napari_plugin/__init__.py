"""napari: click on cells in a time-lapse, watch them being tracked, correct, export.

Read from the outside in: `_widget` is the dock, `_controller` is what it does, without Qt,
`_prompting` and `_runs` are its halves, `_workspace` holds an image's layers, `_session` is the
model's work, `_volumes` and `_all_cells` are its runs through stacks and of all cells, `_frames`
and `_prompts` translate, `_store` is behind the Labels layer.
"""
