from __future__ import annotations

import pytest

from sam2_plugins.core.tracking.transfer import in_few_sizes


@pytest.mark.parametrize("most", [1, 2, 8, 14, 32, 64])
def test_batches_are_of_few_sizes_and_filled_up_by_little(most: int) -> None:
    sizes = set()
    for count in range(1, 150):
        batches = list(in_few_sizes(range(count), most))
        filled = [item for batch in batches for item in batch]
        assert filled[:count] == list(range(count))
        assert set(filled[count:]) <= {count - 1}
        assert len(filled) - count <= max(7, most // 4)
        sizes |= {len(batch) for batch in batches}
    assert sizes == {1, most} | {size for size in (8, 16, 32) if size < most}


def test_nothing_makes_no_batch() -> None:
    assert list(in_few_sizes([], 8)) == []
