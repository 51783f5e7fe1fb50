"""The fields of a dataset's frames: those that FiftyOne knows, and those that are added."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import fiftyone.core.media as fom
from fiftyone.core.odm import get_db_conn

from sam2_plugins.core.errors import Sam2PluginsError

_FIELDS = {float: fo.FloatField, int: fo.IntField, str: fo.StringField, bool: fo.BooleanField}


class FootageError(Sam2PluginsError):
    """Samples that are no videos and no image sequences, or a field that does not fit."""


def find_field(schema: Mapping[str, Any], name: str) -> Any:
    """Return a field, or one within it (`inspection.cells`); None if it is not there."""
    first, _, rest = name.partition(".")
    found = schema.get(first)
    if not rest or found is None:
        return found
    is_document = isinstance(found, fo.EmbeddedDocumentField)
    return find_field(found.get_field_schema(), rest) if is_document else None


@dataclass(frozen=True)
class FrameFields:
    """The fields of the frames of a dataset's videos, or of its images.

    Attributes
    ----------
    made
        A dataset that FiftyOne made for a view of clips or frames, which has them, too.
    """

    dataset: Any
    of_videos: bool
    made: Any = None

    def schema(self, flat: bool = False) -> Mapping[str, Any]:
        """Return name to field; if flat, of attributes, too."""
        if self.of_videos:
            return self.dataset.get_frame_field_schema(flat=flat) or {}
        return self.dataset.get_field_schema(flat=flat)

    def gone(self, names: Collection[str]) -> set[str]:
        """Return those that the database does not have: other processes may have changed them."""
        there = {one["name"] for one in self._stored()}
        return {name for name in names if name.partition(".")[0] not in there}

    def reload(self) -> None:
        """Let this process know the fields that others have added."""
        self.dataset._root_dataset.reload()
        if self._is_made:
            self.made.reload()

    @property
    def _is_made(self) -> bool:
        return self.made is not None and not self.made.deleted

    def declare(self, name: str, kind: type, attributes: Mapping[str, Any]) -> None:
        """Make a field of labels, and the types of some of their attributes known to FiftyOne.

        Other attributes are left alone: FiftyOne cannot read labels any more once an attribute of
        which people wrote values of several types is declared.

        Parameters
        ----------
        attributes
            Name to a value of its type.

        Raises
        ------
        FootageError
            If there are values of another type in one of them.
        """
        items = getattr(kind, "_LABEL_LIST_FIELD", None)
        root = f"{name}.{items}" if items else name
        paths = {f"{root}.{key}": value for key, value in attributes.items()}
        known = [one.to_mongo() for one in self.dataset._root_dataset._doc[self._kind]]
        if known != self._stored():
            self.dataset._reload()  # its name, too, which is needed for the rest
            self.dataset.reload()
        if self._is_made:
            FrameFields(self.made, self.made.media_type == fom.VIDEO).declare(
                name, kind, attributes
            )
        if {name, *paths} <= {*self.schema(flat=True)}:
            return
        self._add(name, kind)
        fresh = {path: value for path, value in paths.items() if path not in self.schema(flat=True)}
        there = self._undeclared(name) if fresh else {}
        for path, value in fresh.items():
            wanted = _FIELDS.get(type(value), fo.EmbeddedDocumentField)
            found = there.get(path, [])
            others = {type(one) for one in (found if isinstance(found, list) else [found])}
            if others - {wanted}:
                names = " and ".join(sorted(one.__name__ for one in others))
                raise FootageError(
                    f"In {name!r} the attribute {path.rpartition('.')[2]!r} is there already, and "
                    f"of another type ({names}): rename it, or choose another name."
                )
        for path, value in fresh.items():
            self._add(path, type(value))

    @property
    def _kind(self) -> str:
        return "frame_fields" if self.of_videos else "sample_fields"

    def _stored(self) -> list[Any]:
        of_all = get_db_conn().datasets.find_one({"_id": self.dataset._root_dataset._doc.id})
        return list((of_all or {}).get(self._kind, ()))

    def _add(self, path: str, kind: type) -> None:
        """Add a field of a type of Python's, or of documents, unless it is there."""
        add = self.dataset.add_frame_field if self.of_videos else self.dataset.add_sample_field
        field = _FIELDS.get(kind)
        more = {} if field else {"embedded_doc_type": kind}
        add(path, field or fo.EmbeddedDocumentField, **more)

    def _undeclared(self, name: str) -> Mapping[str, Any]:
        """Path to field, or to fields, of the attributes in a field that are not declared."""
        if self.of_videos:
            return self.dataset.get_dynamic_frame_field_schema(fields=name) or {}
        return self.dataset.get_dynamic_field_schema(fields=name) or {}
