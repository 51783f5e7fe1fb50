"""Tracking results as files: written frame by frame, so that nothing made is lost."""

from sam2_plugins.core.export.coco import CocoWriter
from sam2_plugins.core.export.ctc import CtcWriter, check_ctc
from sam2_plugins.core.export.group import FORMATS, WriterGroup, open_writers, parse_formats
from sam2_plugins.core.export.overlay import colour_of, overlay
from sam2_plugins.core.export.registry import Blank, Numbering, Subject, TrackWriter, formats
from sam2_plugins.core.export.sheet import ContactSheetWriter, Snapshot, contact_sheet
from sam2_plugins.core.export.table import CsvWriter
from sam2_plugins.core.export.tiff import LabelTiffWriter
from sam2_plugins.core.export.video import VideoWriter

__all__ = [
    "FORMATS",
    "Blank",
    "CocoWriter",
    "ContactSheetWriter",
    "CsvWriter",
    "CtcWriter",
    "LabelTiffWriter",
    "Numbering",
    "Snapshot",
    "Subject",
    "TrackWriter",
    "VideoWriter",
    "WriterGroup",
    "check_ctc",
    "colour_of",
    "contact_sheet",
    "formats",
    "open_writers",
    "overlay",
    "parse_formats",
]
