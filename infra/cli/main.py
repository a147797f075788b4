"""The `puna` command. One file per command beside this one; each is imported when it is called."""

import sys
from typing import Annotated

import typer

from shared.errors import PunaError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An OpenAI-compatible LLM API on this machine. Its settings are environment variables.",
)
Model = Annotated[str, typer.Argument(help="Name of a model, such as smollm2:135m.")]


@app.command()
def serve() -> None:
    """Run everything here: queue, worker with its engine, API."""
    from infra.local.stack import serve as run_stack
    from shared.settings import settings

    raise typer.Exit(run_stack(settings()))


@app.command()
def worker() -> None:
    """Run one worker in the foreground, on REDIS_URL or on the queue of the running stack."""
    from infra.cli.worker import run

    run()


@app.command(name="list")
def list_models() -> None:
    """List the models of the catalog."""
    from infra.cli.models import list_models as run

    run()


@app.command()
def show(model: Model) -> None:
    """Show what is known of one model."""
    from infra.cli.models import show_model

    show_model(model)


@app.command()
def ps() -> None:
    """Show what is loaded, and by which worker."""
    from infra.cli.ps import run

    run()


@app.command(name="run")
def run_model(
    model: Model,
    prompt: Annotated[list[str] | None, typer.Argument(help="One question; without it, a conversation.")] = None,
) -> None:
    """Chat with a model in the terminal."""
    from infra.cli.chat import run

    run(model, " ".join(prompt or ()))


@app.command()
def doctor() -> None:
    """Say what is missing here, and how to get it."""
    from infra.cli.doctor import run

    raise typer.Exit(run())


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("puna"))


def main() -> None:
    """Entry point. An error that we know is one line and exit code 1; Ctrl-C is exit code 130."""
    try:
        app()
    except PunaError as error:
        typer.echo(f"puna: {error.message}", err=True)
        sys.exit(1)
