"""Freed arrays go back to the system where the C library can be told so."""

from __future__ import annotations

import sys

import pytest

from glaciertoolkit import memory


def test_elsewhere_nothing_is_touched(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.return_freed_arrays() is False


def test_a_library_without_it_is_no_error(monkeypatch):
    class Bare:
        pass

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Bare())
    assert memory.return_freed_arrays() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is a matter of Linux")
def test_it_can_be_asked_again():
    assert memory.return_freed_arrays() == memory.return_freed_arrays()
