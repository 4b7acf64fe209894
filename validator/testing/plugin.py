"""The plugin of pytest: nothing but a fixture, so that it costs nothing where it is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from validator.testing.checker import Checker


@pytest.fixture(scope="session")
def keras_validator(request: pytest.FixtureRequest) -> Checker:
    """Run models of a validator.yml with `check`, or compare outputs with `assert_within_noise`."""
    from validator.testing.checker import Checker

    return Checker(request.config.rootpath)
