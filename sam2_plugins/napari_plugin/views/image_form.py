"""The form of the image, its channels, its axis, and the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from platformdirs import user_cache_path, user_data_path
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QMenu, QToolButton, QWidget

from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.memory.policies import policy_help
from sam2_plugins.napari_plugin.controllers.images import Images
from sam2_plugins.napari_plugin.controllers.projects import Projects
from sam2_plugins.napari_plugin.layers.frames import default_axis, full_level, leading_shape
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.requests import Choices
from sam2_plugins.napari_plugin.views.widgets import combo, offer

_CONTRASTS = {"As shown in the layer": "layer", "Percentiles of the movie": "movie"}
SETTINGS = ("sam2_plugins", "napari")
"""Organisation and application of the settings that are remembered."""


MODELS = user_data_path("sam2_plugins") / "models"
"""Folder of the models that were fine-tuned here."""
GIGABYTES = 4
"""Of encoded frames that are kept on the disk."""


@dataclass(frozen=True)
class _Choice:
    """What was chosen for an image: its further channels, and the axis that is swept."""

    channels: tuple[Any, ...]
    axis: int | None
    over: int | None = None


class ImageForm(QWidget):
    """A choice computes nothing: the model is loaded, and a frame read, with the first click.

    Attributes
    ----------
    model_name
        Name of the model, or path of its weights; may be read in any thread.
    """

    def __init__(self, dock: DockModel, images: Images, projects: Projects) -> None:
        super().__init__()
        self._dock = dock
        self._images = images
        self._filling = False
        self._chosen: WeakKeyDictionary[Any, _Choice] = WeakKeyDictionary()
        self.image = combo("The image, or its first channel")
        self.channels = QToolButton()
        self.channels.setToolTip("Further layers of the same shape, shown as red, green and blue")
        self.channels.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._ways: list[tuple[int | None, int | None]] = []
        self._menu = QMenu(self)
        self.channels.setMenu(self._menu)
        self.axis = combo(
            "The axis along which objects are followed: time, or the planes, of the shown time "
            "point or of one after the other"
        )
        self.contrast = combo("How grey values are shown to the model")
        self.contrast.addItems(list(_CONTRASTS))
        self.model = combo("nano comes with the package; others are downloaded at the first use")
        self.model.setEditable(True)
        self.model.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.memory = combo("What each object remembers of earlier frames")
        for name, about in policy_help().items():
            offer(self.memory, name, about)
        self.features = QCheckBox("Keep encoded frames on disk")
        self.features.setToolTip(
            f"A later session answers clicks at once; up to {GIGABYTES} GB in {_folder()}"
        )
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setSpacing(4)
        for text, field in (
            ("Image", self.image),
            ("Channels", self.channels),
            ("Along", self.axis),
            ("Contrast", self.contrast),
            ("Model", self.model),
            ("Memory", self.memory),
        ):
            self._form.addRow(text, field)
        self._form.addRow(self.features)
        self._fill_models()
        for event in self._layer_events():
            event.connect(self._on_layers)
        self.image.currentIndexChanged.connect(self._on_image)
        self.axis.currentIndexChanged.connect(self._use)
        self.contrast.currentTextChanged.connect(self._on_contrast)
        self.model.currentTextChanged.connect(self._on_model)
        self.memory.currentTextChanged.connect(lambda name: setattr(dock, "memory", name))
        self.features.toggled.connect(self._on_features)
        self.features.setChecked(QSettings(*SETTINGS).value("features", "no") == "yes")
        projects.recalled.connect(self._show_choices)
        images.wanted.connect(lambda one: self.image.setCurrentIndex(self.image.findData(one)))
        self._on_layers()

    def remember_model(self, name: str) -> None:
        """Offer a model, which could be loaded, first the next time."""
        QSettings(*SETTINGS).setValue("model", name)

    def use_model(self, path: Path) -> None:
        """Offer a model of one's own, and choose it."""
        self._offer_model(path)
        self.model.setCurrentText(str(path))

    def _offer_model(self, path: Path) -> None:
        if self.model.findText(str(path)) < 0:
            offer(self.model, str(path), f"{path.stem}: fine-tuned here")

    def close_events(self) -> None:
        """Disconnect from the viewer."""
        for event in self._layer_events():
            event.disconnect(self._on_layers)

    def _layer_events(self) -> list[Any]:
        events = self._dock.viewer.layers.events
        names = ("inserted", "removed", "reordered", "renamed")  # the last from napari 0.6 on
        return [getattr(events, name) for name in names if hasattr(events, name)]

    def _fill_models(self) -> None:
        from sam2_plugins.core.checkpoints import list_models

        for row in list_models():
            here = "on this machine" if row.path else f"to be downloaded, {row.megabytes} MB"
            offer(self.model, row.name, f"{row.about or row.name} ({here}; {row.licence})")
        for path in sorted(MODELS.glob("*.safetensors")):
            self._offer_model(path)
        remembered = QSettings(*SETTINGS).value("model", "nano")
        self.model.setCurrentText(str(remembered))
        self._on_model(self.model.currentText())

    def _image_layers(self) -> list[Any]:
        from napari.layers import Image

        return [layer for layer in self._dock.viewer.layers if isinstance(layer, Image)]

    def _on_layers(self, event: Any = None) -> None:
        """List the image layers again; all that was chosen stays chosen."""
        chosen = self.image.currentData()
        images = self._image_layers()
        with self._quietly():
            self.image.clear()
            for layer in images:
                self.image.addItem(layer.name, layer)
            if chosen in images:
                self.image.setCurrentIndex(images.index(chosen))
        self._on_image()

    def _on_image(self, _: int = 0) -> None:
        """Offer the channels and axes of the image, with what was chosen for it before."""
        if self._filling:
            return
        image = self.image.currentData()
        with self._quietly():
            self._menu.clear()
            self.axis.clear()
            self._ways = []
            if image is not None:
                self._offer(image)
        self._form.setRowVisible(self.channels, bool(self._menu.actions()))
        self._form.setRowVisible(self.axis, self.axis.count() > 1)
        self._use()

    def _offer(self, image: Any) -> None:
        shape = tuple(full_level(image).shape)
        names = tuple(getattr(image, "axis_labels", ()))
        chosen = self._chosen.get(image) or _Choice((), default_axis(image, names))
        for layer in self._image_layers():
            alike = layer is not image and not layer.rgb and not image.rgb
            if alike and tuple(full_level(layer).shape) == shape:
                action = self._menu.addAction(layer.name)
                assert action is not None
                action.setCheckable(True)
                action.setData(layer)
                action.setChecked(layer in chosen.channels)
                action.toggled.connect(self._use)
        lengths = leading_shape(image)
        called = [names[i] if i < len(names) else f"axis {i}" for i in range(len(lengths))]
        self._ways = [(i, None) for i in range(len(lengths))]
        for name, n in zip(called, lengths, strict=True):
            self.axis.addItem(f"{name} ({n} frames)", self.axis.count())
        time = default_axis(image, names)
        for i, n in enumerate(lengths):
            if time is not None and i != time and min(n, lengths[time]) > 1:
                self._ways.append((i, time))
                self.axis.addItem(f"{called[i]}, at every {called[time]}", i)
        way = chosen.axis, chosen.over
        self.axis.setCurrentIndex(self._ways.index(way) if way in self._ways else -1)

    def _use(self, _: Any = None) -> None:
        """Use the choices of the form."""
        if self._filling:
            return
        image = self.image.currentData()
        more = tuple(action.data() for action in self._menu.actions() if action.isChecked())
        images = () if image is None else (image, *more)
        at = self.axis.currentIndex()
        way = self._ways[at] if 0 <= at < len(self._ways) else (None, None)
        if image is not None:
            self._chosen[image] = _Choice(more, *way)
        self.channels.setText(" + ".join(layer.name for layer in images))
        self._images.use(images, *way)

    def _show_choices(self, choices: Choices) -> None:
        """Show what was chosen in an earlier session, which is back."""
        images = self._dock.images
        contrasts = {value: text for text, value in _CONTRASTS.items()}
        self.contrast.setCurrentText(contrasts.get(choices.contrast, ""))
        self.memory.setCurrentText(choices.memory)
        self.model.setCurrentText(choices.model)
        self._chosen[images[0]] = _Choice(images[1:], choices.axis, choices.over)
        with self._quietly():
            self.image.setCurrentIndex(self.image.findData(images[0]))
        self._on_image()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Fill the fields without that counting as a person's choice."""
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    def _on_contrast(self, text: str) -> None:
        self._dock.contrast = _CONTRASTS[text]  # type: ignore[assignment]

    def _on_features(self, on: bool) -> None:
        QSettings(*SETTINGS).setValue("features", "yes" if on else "no")
        self._dock.features = DiskFeatures(_folder(), GIGABYTES) if on else None

    def _on_model(self, text: str) -> None:
        self.model_name = self._dock.model = text.strip()


def _folder() -> Path:
    return user_cache_path("sam2_plugins") / "features"
