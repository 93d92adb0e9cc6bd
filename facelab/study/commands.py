"""The command line: ``facelab run``, ``lab``, ``report``, ``export`` and ``data``."""

import os
import sys

import click


class _Commands(click.Group):
    """Turns errors that the user can mend into one line without a traceback."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (ValueError, OSError, ImportError) as e:
            click.echo(f"facelab: {e}", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            click.echo("facelab: stopped; 'facelab run --resume' goes on from here", err=True)
            context.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="facelab", prog_name="facelab")
def main():
    """Metric learning for face verification: run the study, get the data."""


@main.command()
@click.argument("notebooks", metavar="[NOTEBOOK]...", nargs=-1)
@click.option("--profile", default="smoke", show_default=True, help="smoke, lfw-cpu, lfw, a file.")
@click.option("parameters", "-p", nargs=2, multiple=True, metavar="NAME VALUE", help="Repeatable.")
@click.option("--out", metavar="DIR", help="Default: outputs/PROFILE.")
@click.option("--resume", is_flag=True, help="Skip what is done; go on from checkpoints.")
def run(notebooks, profile, parameters, out, resume):
    """Execute notebooks (all, or by name: 01) and write a report."""
    from facelab.study.batch import run_study

    failed = run_study(notebooks, profile, dict(parameters), out, resume)
    for name, cause in failed.items():
        click.echo(f"facelab: {name} failed in {cause}", err=True)
    sys.exit(bool(failed))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def lab(options):
    """Open the notebooks in JupyterLab, with the memory settings of `run`; OPTIONS are its own."""
    from facelab.study.execute import MALLOC
    from facelab.study.settings import notebooks_folder

    command = [sys.executable, "-m", "jupyterlab", str(notebooks_folder()), *options]
    os.execve(sys.executable, command, os.environ | MALLOC)


@main.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True)
@click.option("--readme", metavar="FILE", help="Write the tables of results into this file too.")
def report(folders, readme):
    """Build DIR/report.html anew from the runs in DIR."""
    from facelab.study.report import build_report
    from facelab.study.settings import chapters, notebooks_folder
    from facelab.study.tables import write_results

    expected = [path.stem for path in chapters(notebooks_folder())]
    for folder in folders:
        click.echo(build_report(folder, expected))
    if readme:
        write_results(readme, folders)
        click.echo(readme)


@main.command()
@click.argument("network", metavar="NETWORK.safetensors")
@click.argument("out", metavar="OUT.onnx")
def export(network, out):
    """Write a network of the study as an ONNX file, with its preprocessing and threshold."""
    from facelab.exchange import export_onnx

    about = export_onnx(network, out)
    said = ", ".join(f"{key} {value}" for key, value in about.items())
    click.echo(f"{out}: embeddings of unit length; {said}")


@main.group()
def data():
    """Get faces, or look at them."""


@data.command()
@click.option("--out", metavar="DIR", default="data", show_default=True, help="Where to.")
@click.option("--variant", type=click.Choice(["funneled", "original"]), default="funneled")
def fetch(out, variant):
    """Download LFW and its lists of pairs; goes on where it stopped."""
    from facelab.data.download import fetch

    click.echo(f"{fetch(out, variant)} holds LFW; name it as FACELAB_LFW, or as DATA")


@data.command()
@click.argument("path")
def info(path):
    """Count the people and images in PATH, and say what is wrong (then the exit code is 1)."""
    from facelab.data.inspect import info

    text, ok = info(path)
    click.echo(text)
    sys.exit(not ok)


@data.command()
@click.argument("out")
@click.option("--people", default=400, show_default=True, help="How many people.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws other people.")
def synthesize(out, people, seed):
    """Draw faces into OUT, laid out like LFW."""
    from facelab.data.drawn.people import synthesize

    click.echo(synthesize(out, people=people, seed=seed))
