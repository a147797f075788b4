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
Insecure = Annotated[bool, typer.Option(help="Allow a registry without TLS.")]
Prefix = Annotated[str, typer.Argument(help="Only the models whose names begin so.", metavar="[PREFIX]")]
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


@app.command(name="ls", hidden=True)
@app.command(name="list")
def list_models(prefix: Prefix = "") -> None:
    """List the models of the catalog."""
    from infra.cli.models import list_models as run

    run(prefix)


@app.command()
def show(
    model: Model,
    modelfile: Annotated[bool, typer.Option(help="Only its Modelfile.")] = False,
    parameters: Annotated[bool, typer.Option(help="Only its parameters.")] = False,
    template: Annotated[bool, typer.Option(help="Only its template.")] = False,
    system: Annotated[bool, typer.Option(help="Only its system message.")] = False,
    license: Annotated[bool, typer.Option(help="Only its license.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="With its metadata and tensors.")] = False,
) -> None:
    """Show what is known of one model."""
    from infra.cli.show import show_model

    asked = {
        "modelfile": modelfile,
        "parameters": parameters,
        "template": template,
        "system": system,
        "license": license,
    }
    parts = [name for name, wanted in asked.items() if wanted]
    if len(parts) > 1:
        raise typer.BadParameter("only one part can be shown at a time")
    show_model(model, part="".join(parts), verbose=verbose)


@app.command()
def ps(prefix: Prefix = "") -> None:
    """List the models that are loaded."""
    from infra.cli.models import ps as run

    run(prefix)


@app.command()
def stop(model: Model) -> None:
    """Unload a model that is loaded."""
    from infra.cli.models import stop as run

    run(model)


@app.command()
def workers() -> None:
    """Show each worker, and what it does."""
    from infra.cli.workers import run

    run()


@app.command()
def pull(model: Model, insecure: Insecure = False) -> None:
    """Bring a model into the catalog: by its name from a registry, or from a GGUF file or a folder of safetensors."""
    from infra.cli.transfer import pull as run

    run(model, insecure=insecure)


@app.command()
def push(model: Model, insecure: Insecure = False) -> None:
    """Bring a model from the catalog to a registry."""
    from infra.cli.transfer import push as run

    run(model, insecure=insecure)


@app.command()
def create(
    model: Model,
    file: Annotated[str, typer.Option("-f", "--file", help="The Modelfile; - is standard input.")] = "Modelfile",
    quantize: Annotated[str, typer.Option("-q", "--quantize", help="Quantize to this type: q8_0, q5_1, q4_0, …")] = "",
) -> None:
    """Create a model from a Modelfile."""
    from infra.cli.transfer import create as run

    run(model, file, quantize=quantize)


@app.command(name="cp")
def copy(source: Model, destination: Model) -> None:
    """Give a model another name."""
    from infra.cli.models import copy as run

    run(source, destination)


@app.command(name="rm")
def remove(models: Annotated[list[str], typer.Argument(help="Names of models.")]) -> None:
    """Remove models."""
    from infra.cli.models import remove as run

    run(models)


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
