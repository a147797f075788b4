"""The key that a stack makes for itself."""

import stat
from pathlib import Path

import pytest

from infra.local.home import Home, StackError
from infra.local.secret import kept_key
from shared.responses.seal import KEY_BYTES, state_key


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    key = kept_key(home)
    assert len(state_key(key)) == KEY_BYTES
    assert kept_key(home) == key
    assert stat.S_IMODE(home.state_key.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.key"]


def test_a_start_that_was_cut_off_leaves_no_half_a_key(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.state_key.with_suffix(".new").write_text("half")
    assert state_key(kept_key(home))


@pytest.mark.parametrize("text", ["", "short", "é" * 43])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.state_key.write_text(text)
    with pytest.raises(StackError, match=r"state\.key.*32 bytes"):
        kept_key(home)
