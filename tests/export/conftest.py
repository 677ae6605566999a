"""What tests of export may ask for."""

from __future__ import annotations

from tests.support.toy_images import toy, toy_run

__all__ = ["toy", "toy_run"]
