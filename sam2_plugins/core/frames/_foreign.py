"""Formats of microscopes and programs that are not read here, and how to convert them."""

from __future__ import annotations

from pathlib import Path

_HDF5 = b"\x89HDF\r\n\x1a\n"
_BIO_FORMATS = (
    "Save it as OME-TIFF: in Fiji by File > Import > Bio-Formats and File > Save As, or with the "
    "Bio-Formats tools: bfconvert {path} {stem}.ome.tif"
)
_MICROSCOPES = {
    **dict.fromkeys((".czi", ".zvi"), "a Zeiss file"),
    **dict.fromkeys((".lif", ".lof"), "a Leica file"),
    **dict.fromkeys((".oib", ".oif", ".oir", ".vsi"), "an Olympus file"),
    **dict.fromkeys((".dv", ".r3d_d3d"), "a DeltaVision file"),
    **dict.fromkeys((".ics", ".ids"), "an ICS file"),
    ".nd2": "a Nikon file",
    ".xlef": "a Leica project",
    ".ims": "an Imaris file",
    ".mrc": "an MRC file",
    ".sld": "a SlideBook file",
}
_RAW = {".nef", ".cr2", ".cr3", ".arw", ".dng", ".orf", ".rw2", ".raf"}
_ARCHIVES = {".npz": "an archive of arrays", ".mat": "a MATLAB file", ".pkl": "a pickle"}
_HDF5_SUFFIXES = {".h5", ".hdf5", ".he5", ".hdf"}


def conversion_of(path: Path) -> str | None:
    """Return the name of a format that is not read here, and how to convert it; None if it is read.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    suffix = path.suffix.lower()
    if what := _MICROSCOPES.get(suffix):
        how = _BIO_FORMATS.format(path=path, stem=path.stem)
        return f"{path.name} is {what}, which is not read here. {how}"
    if suffix in _RAW:
        return (
            f"{path.name} is a camera's raw picture, which is not read here. Develop it to TIFF or "
            "PNG first."
        )
    if suffix in _ARCHIVES:
        return (
            f"{path.name} is {_ARCHIVES[suffix]}, which is not read here. Save its array as .npy."
        )
    with path.open("rb") as file:
        is_hdf5 = file.read(len(_HDF5)) == _HDF5
    if is_hdf5 or suffix in _HDF5_SUFFIXES:
        return (
            f"{path.name} is an HDF5 file, which is not read here. Save its array (called "
            f'exported_data by ilastik) as .npy: python -c "import h5py, numpy; numpy.save('
            f"'{path.stem}.npy', h5py.File('{path}')['exported_data'][:])\""
        )
    return None
