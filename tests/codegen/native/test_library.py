"""Calls: threads, forks, life of tensors, and the ranges of rows."""

import gc
import multiprocessing
import signal
import threading
import time
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codegen.native.library import Library, load, prelude, split

TEXT = (
    prelude(False)
    + """
CW_EXPORT int64_t add(int64_t a, int64_t b) { return a + b; }
CW_EXPORT void mark(void *const *t, const int64_t *s, int64_t first, int64_t last) {
    cw_real *y = t[0];
    for (int64_t i = first; i < last; ++i) y[i] += (cw_real)(s[0] + i) + (t[1] ? 1000 : 0);
}
CW_EXPORT void count_up(void *const *t, const int64_t *s, int64_t first, int64_t last) {
    volatile int64_t *n = t[0];
    while (n[first] < s[0]) ++n[first];
    (void)last;
}
CW_EXPORT void count_up_slower_later(void *const *t, const int64_t *s, int64_t first, int64_t last) {
    volatile int64_t *n = t[0];
    while (n[first] < (first ? s[0] : s[0] / 10)) ++n[first];
    (void)last;
}
"""
)


@pytest.fixture(scope="module")
def library() -> Library:
    return load(TEXT)


@given(st.integers(0, 400), st.sampled_from([6, 12]), st.integers(1, 40))
def test_ranges_cover_the_rows_evenly(rows: int, block: int, threads: int) -> None:
    parts = split(rows, block, threads)
    assert [i for first, last in parts for i in range(first, last)] == list(range(rows))
    sizes = [last - first for first, last in parts]
    assert 1 <= len(parts) <= threads
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == 1 or min(sizes) >= block // 2


def test_thirty_rows_on_two_threads() -> None:
    assert split(30, 6, 2) == [(0, 15), (15, 30)]


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_each_row_once_for_any_number_of_threads(library: Library, threads: int) -> None:
    y = torch.zeros(101)
    library.call("mark", [y, None], [7], rows=101, threads=threads)
    assert torch.equal(y, torch.arange(101) + 7.0)
    library.call("mark", [y, y], [0], rows=0, threads=threads)
    assert torch.equal(y, torch.arange(101) + 7.0), "no rows"
    library.call("mark", [y, y], [0], rows=101, threads=threads)
    assert torch.equal(y, 2.0 * torch.arange(101) + 1007.0)


def test_sizes_and_unknown_names(library: Library) -> None:
    assert library.size("add", 2**40, -3) == 2**40 - 3
    with pytest.raises(AttributeError, match="exports no function 'subtract'"):
        library.size("subtract")
    assert load(TEXT) is library


def test_calls_release_the_interpreter(library: Library) -> None:
    counter = torch.zeros(1, dtype=torch.int64)
    caller = threading.Thread(target=library.call, args=("count_up", [counter], [400_000_000]))
    caller.start()
    seen = set()
    while caller.is_alive():
        seen.add(int(counter[0]))
        time.sleep(0.001)
    caller.join()
    assert any(0 < n < 400_000_000 for n in seen)


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def test_interruption_waits_for_the_other_threads(library: Library) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    counters = torch.zeros(12, dtype=torch.int64)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        with pytest.raises(Interrupted):
            library.call("count_up_slower_later", [counters], [200_000_000], rows=12, threads=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert int(counters[6]) == 200_000_000, "or it would write to memory that was given back"


def test_tensors_live_while_threads_run(library: Library) -> None:
    dead: list[str] = []

    class Watched:
        def __init__(self) -> None:
            self.tensor = torch.zeros(24)

        def data_ptr(self) -> int:
            return self.tensor.data_ptr()

    def call() -> None:
        watched = Watched()
        weakref.finalize(watched, dead.append, "dead")
        library.call("mark", [watched, None], [0], rows=24, threads=2)
        assert not dead
        assert torch.equal(watched.tensor, torch.arange(24.0))

    call()
    gc.collect()
    deadline = time.monotonic() + 10  # a worker lets go of its last task a moment after it is done
    while not dead and time.monotonic() < deadline:
        time.sleep(0.01)
    assert dead == ["dead"], "and no longer"


def _in_child(results: "multiprocessing.SimpleQueue[object]") -> None:
    y = torch.zeros(60)
    load(TEXT).call("mark", [y, None], [0], rows=60, threads=3)
    results.put(y.tolist())


def test_threads_after_a_fork(library: Library) -> None:
    library.call("mark", [torch.zeros(60), None], [0], rows=60, threads=3)
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[object] = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(results,))
    child.start()
    child.join(30)
    assert child.exitcode == 0, "a pool of the parent's threads would wait for ever"
    assert results.get() == list(range(60))
