"""What the fixture `keras_validator` is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from validator.api.running import Names, RunResult, run
from validator.errors import ConfigurationError
from validator.matrix import CURRENT
from validator.pipeline.run_folder import WORK
from validator.testing import assert_within_noise

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Checker:
    """Runs models of the validator.yml in `root`, the root folder of pytest, unless a test names another."""

    root: Path

    assert_within_noise = staticmethod(assert_within_noise)

    def check(  # noqa: PLR0913 - the public call, all but one by name
        self,
        model: str,
        *,
        baseline: str = "",
        against: Names = CURRENT,
        config: str | Path | None = None,
        allow: Names = (),
        origin: bool = False,
    ) -> RunResult:
        """Run a model of validator.yml in two environments, and fail the test where it predicts differently.

        Args:
            model: its name in validator.yml.
            baseline: an environment of the matrix, a version of Keras, `legacy`, or `current`. Default: the
                configured baseline.
            against: what is compared with it, in the same words. Default: `current`, the environment that
                runs the test.
            config: the validator.yml. Default: that of pytest's root folder.
            allow: verdicts of cells that pass beside `identical` and `rounding`, as in docs/verdicts.md.
            origin: whether a change is traced to a release and its lines, which may take minutes.

        Returns:
            The run, whose folder keeps the report.

        Raises:
            AssertionError: the gate of validator.yml fails, a cell has a verdict that is not allowed, or
                nothing can be told.
            ConfigurationError: the configuration or an argument cannot be used.
        """
        __tracebackhide__ = True
        path = Path(config) if config is not None else self.root / "validator.yml"
        if not path.is_file():
            raise ConfigurationError(
                f"{path} does not exist; write it with `keras-validator init`, or name another config"
            )
        names = (against,) if isinstance(against, str) else tuple(against)
        part = _UNSAFE.sub("_", "-".join([model, baseline or "baseline", *names]))[:120]
        output = path.resolve().parent / WORK / "tests" / part
        outcome = run(
            path,
            models=model,
            baseline=baseline,
            against=names,
            output=output,
            progress=False,
            origin=origin,
        )
        allowed = {"identical", "rounding", *((allow,) if isinstance(allow, str) else allow)}
        if not outcome.passed or any(cell.verdict not in allowed for cell in outcome.cells):
            raise AssertionError(f"{model} is not validated\n{outcome}")
        return outcome
