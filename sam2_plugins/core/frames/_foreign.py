"""Files that are not read here: what they are, and what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

from sam2_plugins.core.frames._content import head_of

_TO_OME_TIFF = (
    "It is not read here. Save it as OME-TIFF: in Fiji by File > Import > Bio-Formats and File > "
    "Save As, or with the Bio-Formats tools: bfconvert {path} {path.stem}.ome.tif"
)
_DEVELOP = "It is not read here. Develop it to TIFF or PNG first."
_SAVE_AGAIN = "It is not read here. Save it as PNG or TIFF first."
_TO_NPY = "It is not read here. Save its array as .npy."
_FROM_HDF5 = (
    "It is not read here. Save its array (called exported_data by ilastik) as .npy: "
    "python -c \"import h5py, numpy; numpy.save('{path.stem}.npy', "
    "h5py.File('{path}')['exported_data'][:])\""
)
_ONE_FILE = "They are not opened. Make one of them: ffmpeg -i {path.name} -c copy movie.mp4"
_AGAIN = (
    "If a server sent it in place of the file, download it again, and log in first where that is "
    "asked for."
)

_BY_SUFFIX = {
    **dict.fromkeys((".czi", ".zvi"), ("a Zeiss file", _TO_OME_TIFF)),
    **dict.fromkeys((".lif", ".lof"), ("a Leica file", _TO_OME_TIFF)),
    **dict.fromkeys((".oib", ".oif", ".oir", ".vsi"), ("an Olympus file", _TO_OME_TIFF)),
    **dict.fromkeys((".dv", ".r3d_d3d"), ("a DeltaVision file", _TO_OME_TIFF)),
    **dict.fromkeys((".ics", ".ids"), ("an ICS file", _TO_OME_TIFF)),
    ".nd2": ("a Nikon file", _TO_OME_TIFF),
    ".xlef": ("a Leica project", _TO_OME_TIFF),
    ".ims": ("an Imaris file", _TO_OME_TIFF),
    ".mrc": ("an MRC file", _TO_OME_TIFF),
    ".sld": ("a SlideBook file", _TO_OME_TIFF),
    ".spe": ("a Princeton Instruments file", _TO_OME_TIFF),
    ".cxd": ("a SimplePCI file", _TO_OME_TIFF),
    ".nii": ("a NIfTI file", _TO_OME_TIFF),
    ".tga": ("a TGA picture", _SAVE_AGAIN),
    **dict.fromkeys(
        (".nef", ".cr2", ".cr3", ".arw", ".dng", ".orf", ".rw2", ".raf"),
        ("a camera's raw picture", _DEVELOP),
    ),
    ".npz": ("an archive of arrays", _TO_NPY),
    ".mat": ("a MATLAB file", _TO_NPY),
    ".pkl": ("a pickle", _TO_NPY),
    **dict.fromkeys((".h5", ".hdf5", ".he5", ".hdf"), ("an HDF5 file", _FROM_HDF5)),
}
_BY_CONTENT = {
    rb"\x89HDF\r\n\x1a\n": _BY_SUFFIX[".h5"],
    rb"ZISRAWFILE": _BY_SUFFIX[".czi"],
    rb"\xda\xce\xbe\n": _BY_SUFFIX[".nd2"],
    rb"Andor Technology": ("an Andor file", _TO_OME_TIFF),
    rb".{128}DICM": ("a DICOM file", _TO_OME_TIFF),
    rb"SIMPLE  =": ("a FITS file", _TO_OME_TIFF),
    rb"....ftyphe[iv]": ("a HEIC picture", _SAVE_AGAIN),
    rb"8BPS": ("a Photoshop file", _SAVE_AGAIN),
    rb"(<\?xml[^>]*>\s*)?<svg": ("an SVG drawing", _SAVE_AGAIN),
    rb"%PDF-": ("a PDF", "Take the pictures out of it first."),
    rb"\x1f\x8b|BZh\d|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|.{257}ustar": (
        "a packed file",
        "Unpack it first.",
    ),
    rb"version https://git-lfs": ("a pointer of Git LFS, not the file", "Run: git lfs pull"),
    rb"\s*(#EXTM3U|ffconcat|<\?xml[^>]*>\s*<MPD|<MPD|\[playlist\]|v=0\r?\n)": (
        "a playlist, which names other files or addresses",
        _ONE_FILE,
    ),
    rb"(\xef\xbb\xbf)?\s*(<!--.*-->\s*)?<(!doctype\s+html|html|head|body)": (
        "a web page, not a picture or a movie",
        _AGAIN,
    ),
    rb"(?!P[1-7]\s|YUV4MPEG2|ARMovie)[\t\n\r -~]+\Z": (  # those are pictures and movies
        "a text, not a picture or a movie",
        _AGAIN,
    ),
}
_CONTENTS = [
    (re.compile(head, re.IGNORECASE | re.DOTALL), found) for head, found in _BY_CONTENT.items()
]


def refusal_of(path: Path) -> str | None:
    """Return what a file is that is not read here, and the mend; None if it may be read.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    head = head_of(path)
    if not head:
        return f"{path.name} is empty. Copy or download it again."
    by_content = (found for begins, found in _CONTENTS if begins.match(head))
    found = _BY_SUFFIX.get(path.suffix.lower()) or next(by_content, None)
    return f"{path.name} is {found[0]}. {found[1].format(path=path)}" if found else None
