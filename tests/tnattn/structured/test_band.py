"""The pattern of a band: what rows keep, and runs of blocks with equidistant windows."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.structured.band import Band, Run, band_entries


def band(xp=np, *, rows=50, columns=50, width=9, size=4, fixed=0):
    first = np.clip(np.arange(rows) - width // 2, fixed, columns - width)
    return Band(xp.asarray(first), xp.asarray(first + width), size, width, columns, fixed)


@pytest.mark.parametrize("fixed", [0, 2])
@pytest.mark.parametrize("size", [1, 4, 7, 64])
def test_rows_keep_their_columns(xp, size, fixed):
    made = band(xp, size=size, fixed=fixed)
    first = to_host(made.first)[:, None]
    dense = np.zeros((made.blocks * size, 50), dtype=bool)
    indices, kept = to_host(made.indices), to_host(made.kept)
    for row in range(dense.shape[0]):
        dense[row, indices[row // size][kept[row // size, row % size]]] = True
    j = np.arange(50)
    np.testing.assert_array_equal(dense[:50], ((j >= first) & (j < first + 9)) | (j < fixed))


def test_a_row_may_keep_nothing():
    made = Band(np.asarray([5, 5]), np.asarray([3, 6]), 2, 3, 10)
    assert made.kept[0].sum(axis=-1).tolist() == [0, 1]


def test_runs_are_the_two_ends_and_the_middle(xp):
    # rows 0 to 4 keep the first 9 columns: one block; then windows of blocks begin 4 columns apart
    runs = band(xp).runs
    assert [run.blocks for run in runs] == [slice(0, 1), slice(1, 11), slice(11, 12), slice(12, 13)]
    assert runs[1] == Run(slice(1, 11), 0, 4)
    assert runs[1].part(2, 5) == Run(slice(3, 6), 8, 4)


@pytest.mark.parametrize("size", [3, 4, 5, 16])
def test_runs_tell_where_windows_begin(size):
    made = band(size=size)
    begin = [run.begin + run.step * i for run in made.runs for i in range(run.blocks.stop - run.blocks.start)]
    np.testing.assert_array_equal(begin, made.begin)
    low, high = made.slots
    for run in made.runs:
        for bound in (low, high):
            np.testing.assert_array_equal(
                bound[run.blocks], np.broadcast_to(bound[run.blocks][:1], bound[run.blocks].shape)
            )


def test_windows_of_their_own_are_one_run():
    first = np.arange(12) + np.asarray([0, 1])[:, None]
    assert Band(first, first + 2, 4, 2, 20).runs == [Run(slice(0, 3), None, 0)]


@pytest.mark.parametrize("size", [1, 4, 64])
def test_entries_are_counted(size):
    made = band(size=size, fixed=2)
    assert band_entries(50, 50, size=size, reach=9, fixed=2) == made.kept.size == made.blocks * size * made.width


@pytest.mark.parametrize("options", [{"size": 0}, {"reach": -1}, {"fixed": 51}, {"fixed": -1}])
def test_impossible_bands_are_refused(options):
    with pytest.raises(ValueError, match="are no band"):
        Band(**{"first": np.arange(3), "stop": np.arange(3), "size": 2, "reach": 3, "columns": 50, **options})
