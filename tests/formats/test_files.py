import resource
import signal

import pytest

from pointkit.formats import files


@pytest.fixture
def small_files():
    """No file may grow beyond 4,096 bytes: what a full disk does, by the system's own limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_names_the_file_and_leaves_nothing(tmp_path, small_files):
    target = tmp_path / "page.html"
    with pytest.raises(OSError, match=r"page\.html"), files.replacing(target) as file:
        file.write(bytes(100_000))
    assert list(tmp_path.iterdir()) == []
