"""A spliced file reads like its joined parts."""

import io

from hypothesis import given
from hypothesis import strategies as st

from luxvox.codec.voice.files.splicing import SplicedFile

BASE = bytes(range(200))
PARTS = st.lists(
    st.one_of(
        st.binary(max_size=9),
        st.tuples(st.integers(0, 200), st.integers(0, 200)).map(lambda ends: range(*sorted(ends))),
    ),
    max_size=5,
)


@given(PARTS, st.lists(st.tuples(st.integers(-20, 300), st.integers(0, 2), st.integers(0, 90))))
def test_reads_as_the_joined_bytes(parts, moves):
    whole = b"".join(
        part if isinstance(part, bytes) else BASE[part.start : part.stop] for part in parts
    )
    file = SplicedFile(io.BytesIO(BASE), parts)
    position = 0
    for offset, whence, n_bytes in moves:
        position = max(0, offset + (0, position, len(whole))[whence])
        assert file.seek(offset, whence) == file.tell() == position
        read = file.read(n_bytes)
        assert read == whole[position : position + n_bytes]
        position += len(read)


def test_a_claimed_size_moves_only_the_very_end():
    file = SplicedFile(io.BytesIO(BASE), [range(100)], claimed_size=10**9)
    assert file.seek(0, io.SEEK_END) == 10**9
    assert file.read(5) == b""
    assert file.seek(-10, io.SEEK_END) == 90
    assert file.read() == BASE[90:100]
