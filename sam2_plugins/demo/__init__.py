"""The demonstration: a real time-lapse, a dozen cells, one prompt each."""

from __future__ import annotations
