"""Commands before the first run: init, record, doctor, advise."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from validator.cli.options import Config, Force, Yes

Samples = Annotated[int, typer.Option(min=1, help="The most samples to keep, each as likely as any other.")]


def init(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: Config = Path("validator.yml"),
    yes: Yes = False,
    model: Annotated[
        str, typer.Option(help="Only this model: a path, or an address such as hf://org/model@revision.")
    ] = "",
    inputs: Annotated[
        str,
        typer.Option(help="Recorded inputs: .npz, .npy, .csv, .parquet, a recording, or module:function."),
    ] = "",
    labels: Annotated[str, typer.Option(help="Labels of these inputs; of a .csv, a column of it.")] = "",
    since: Annotated[
        str,
        typer.Option(
            "--from",
            help="Keras of the baseline. Default: what your manifest pins, or pinned before this branch; "
            "or the model's.",
        ),
    ] = "",
    until: Annotated[
        str,
        typer.Option(
            "--to", help="Keras of the candidate. Default: what this branch moves to, or the newest known."
        ),
    ] = "",
    workflow: Annotated[
        bool, typer.Option("--workflow", help="Also write .github/workflows/keras.yml.")
    ] = False,
    dependabot: Annotated[
        bool, typer.Option("--dependabot", help="Also write .github/dependabot.yml.")
    ] = False,
    force: Force = False,
) -> None:
    """Look at this folder, and write a validator.yml that `run` takes as it is.

    Finds .keras and .h5 files, SavedModels, MLflow folders, what they were saved with, the modules of their
    custom objects, and recorded inputs beside them. Where there are none, it makes synthetic ones from what
    the model says about its inputs. Nothing is loaded or run, and no file is replaced without --force.
    """
    from validator.adoption.init import Talk, Wish, initialise
    from validator.errors import ConfigurationError

    def ask(question: str, default: str) -> str:
        try:
            return str(typer.prompt(question, default=default, show_default=False))
        except typer.Abort:
            if sys.stdin.isatty():
                raise
            why = "init has a question, and no terminal to ask on: pass --yes, or name --inputs"
            raise ConfigurationError(why) from None

    talk = Talk((lambda _, default: default) if yes else ask, typer.echo)
    initialise(Wish(config, model, inputs, labels, since, until, force, workflow, dependabot), talk)
    typer.echo(f"questions: {0 if yes else talk.questions}")


def record(  # noqa: PLR0913, PLR0917 - one parameter an option
    source: Annotated[
        str, typer.Argument(help=".npz, .npy, .csv, .parquet, a recording, or package.module:function.")
    ],
    folder: Annotated[Path, typer.Argument(help="Folder to write the recording into.")] = Path("inputs"),
    labels: Annotated[
        str, typer.Option(help="Labels: a file of their own, or a column or array of the source.")
    ] = "",
    id: Annotated[str, typer.Option("--id", help="Column or array that names the samples.")] = "",
    samples: Samples = 512,
    megabytes: Annotated[float, typer.Option(min=0.001, help="The most to keep.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice.")] = 0,
    python: Annotated[
        str, typer.Option(help="Python that has the packages of a function. Default: .venv, or this one.")
    ] = "",
    redact: Annotated[
        str, typer.Option(help="package.module:function, a sample's inputs → the same, redacted.")
    ] = "",
    adequate: Annotated[
        bool,
        typer.Option(
            "--adequate", help="Add synthetic rows, without labels, that known changes need to show."
        ),
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="With --adequate: the model, for how many ids it knows.")
    ] = None,
) -> None:
    """Record inputs from a file or function into a folder that `inputs:` can name.

    In code, `from validator import record` and `with record(model, "inputs"): model.predict(…)` record what
    really goes into a model. A recording given as the source stays, and only gains rows with --adequate.
    """
    from validator.adoption.record import RecordRequest, record_inputs

    request = RecordRequest(
        source, folder, labels, id, samples, megabytes, seed, python, redact, adequate, model
    )
    record_inputs(request, typer.echo)


def doctor(config: Config = Path("validator.yml")) -> None:
    """Check that a run can work: tools, disk, git, models, inputs, labels, metrics, every environment.

    Each line says what to do. The exit code is 2 if a run could not work.
    """
    from validator.adoption.doctor import examine

    raise typer.Exit(int(examine(config, typer.echo)))


def pin(config: Config = Path("validator.yml")) -> None:
    """Fetch what a validator.yml names elsewhere, and write its SHA-256 into the file.

    From then on `run` uses nothing else under these addresses. Comments stay.
    """
    from validator.adoption.elsewhere import pin as write_pins

    write_pins(config, typer.echo)


def advise(  # noqa: PLR0913, PLR0917 - one parameter an option
    model: Annotated[
        Path, typer.Argument(help="A .keras or .h5 file, a SavedModel, or the Python file of a builder.")
    ],
    since: Annotated[
        str | None, typer.Option("--from", help="Release before. Default: what saved the model.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Release after. Default: the newest of the catalogue.")
    ] = None,
    backend: Annotated[str, typer.Option(help="tensorflow, jax or torch.")] = "tensorflow",
    inputs: Annotated[
        Path | None, typer.Option(help="Recorded inputs: which changes can they not show?")
    ] = None,
    batch: Annotated[int, typer.Option("--batch-size", min=1, help="Samples predicted at once.")] = 32,
    source: Annotated[
        list[Path] | None, typer.Option(help="Python file with the model's own code. Repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the known changes between two Keras releases that can reach a model. Nothing is loaded or run."""
    from validator.pipeline.advise import Question, show_advice

    sources = tuple(source or ())
    show_advice(Question(model, since, until, backend, inputs, batch, sources, json))
