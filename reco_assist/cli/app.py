"""`reco-assist`: one command for each step from a word to exported masks."""

import os
import sys
import warnings

import typer

from reco_assist.cli import (
    concepts,
    datasets,
    demo,
    doctor,
    embeddings,
    evaluate,
    explain,
    import_,
    index,
    lab,
    learn,
    models,
    push,
    rank,
    reproduce,
    search,
    segment,
    serve,
    train,
)
from reco_assist.cli.stopping import STOPPED, end_soon, stop
from reco_assist.errors import RecoAssistError, gpu_failure

# Ctrl-C has a meaning of its own there: they are asked to end, and are given time.
_SERVERS = ("lab", "serve")

app = typer.Typer(
    name="reco-assist",
    help="From a word to a data set of masks: index photographs, learn a concept, segment, export.",
    epilog="Begin with 'reco-assist demo', or 'reco-assist lab' for the notebook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(index.index)
app.command()(search.search)
app.command()(embeddings.embeddings)
app.command()(learn.learn)
app.command()(segment.segment)
app.command()(push.push)
app.command()(push.pull)
app.command()(serve.serve)
app.command()(train.train)
app.command()(rank.rank)
app.command()(evaluate.evaluate)
app.command()(explain.explain)
app.command()(doctor.doctor)
app.add_typer(concepts.app, name="concepts")
app.command("import")(import_.import_)
app.command()(datasets.convert)
app.command()(datasets.merge)
app.command()(datasets.diff)
app.command()(datasets.report)
app.command()(reproduce.reproduce)
app.command()(lab.lab)
app.add_typer(models.models, name="models")


def _allow_stores(arguments: list[str]) -> None:
    """What stands on the command line was named by the user, and may be opened, as what the variable says."""
    places = [one.partition("=")[2] if one.startswith("--") else one for one in arguments]
    if any("://" in place for place in places) or "RECO_ASSIST_STORES" in os.environ:
        from reco_assist.images import STORES, allow_stores

        allow_stores(*(place for place in places if place.lower().partition("://")[0] in STORES))


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 an error in one sentence, 2 wrong usage, 130 stopped."""
    # Decoders warn about broken metadata in files whose pixels are good.
    warnings.filterwarnings("ignore", module="PIL")
    if sys.argv[1:2] and sys.argv[1] not in _SERVERS:
        end_soon()
    try:
        _allow_stores(sys.argv[1:])
        app()
    except RecoAssistError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except MemoryError:
        sys.stderr.write(
            "error: memory is too small for this: close other programs, or use smaller images; "
            "run the same command again to go on\n"
        )
        sys.exit(1)
    except RuntimeError as error:
        # A GPU works behind our back: its failure shows wherever its results are waited for.
        failure = gpu_failure(error)
        if failure is None:
            raise
        sys.stderr.write(f"error: {failure}\n")
        sys.exit(1)
    except KeyboardInterrupt:  # where typer does not take it
        stop()
    except SystemExit as done:
        if done.code == STOPPED:  # what typer makes of Ctrl-C, without a word
            stop()
        raise
