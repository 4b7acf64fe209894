"""A newcomer's way: `init --yes` and `run` in six projects, no file edited; verdicts beside a script."""
