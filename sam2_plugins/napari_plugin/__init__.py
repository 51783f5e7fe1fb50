"""napari: click on cells in a time-lapse, watch them being tracked, correct, export.

Arrows point to the right: `views` (the dock, in Qt) → `controllers` (what it does, without Qt) →
`models` (the dock's state, an image's objects, the model's work on them) → `layers` (napari's
layers of an image). `napari.yaml` names what napari itself calls: the dock, `reader`, `writer`,
`samples`.
"""
