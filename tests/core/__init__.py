from __future__ import annotations

from hypothesis import settings

# A deadline says how busy the machine is, not whether the code is right.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
