import numpy as np

from tnattn.decomposition.history import History


def test_a_tensor_stops_when_its_error_changes_no_more():
    history = History(np.array([True, True]), 0.1)
    assert history.record(np.array([0.9, 0.9]))
    assert history.record(np.array([0.5, 0.85]))
    assert not history.record(np.array([0.45, 0.0]))
    np.testing.assert_array_equal(history.sweeps, [3, 2])
    np.testing.assert_array_equal(history.stationary, [True, True])


def test_the_error_of_a_tensor_that_stopped_is_repeated():
    history = History(np.array([True, True]), 0.1)
    for errors in ([0.9, 0.9], [0.5, 0.85], [0.45, 0.0]):
        history.record(np.array(errors))
    np.testing.assert_array_equal(history.stacked(), [[0.9, 0.5, 0.45], [0.9, 0.85, 0.85]])


def test_an_initial_guess_makes_the_first_sweep_count():
    history = History(np.array([True]), 0.1)
    history.begin(np.array([0.9]))
    assert not history.record(np.array([0.85]))
    assert history.sweeps == 1


def test_patience_waits_for_idle_sweeps_in_a_row():
    history = History(np.array([True]), 0.1, patience=2)
    answers = [history.record(np.array([e])) for e in (0.9, 0.88, 0.7, 0.69, 0.68)]
    assert answers == [True, True, True, True, False]


def test_a_tensor_that_is_not_active_takes_no_sweep():
    history = History(np.array([False]), 0.1)
    assert not history.record(np.array([0.5]))
    assert history.sweeps == 0
    assert history.errors[0] == 0
