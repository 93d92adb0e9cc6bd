"""The command line: ``facelab run``, ``lab``, ``report``, ``export`` and ``data``."""

import io
import os
import subprocess
import sys

import click


class _Commands(click.Group):
    """Turns errors that the user can mend into one line without a traceback."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (ValueError, OSError, ImportError) as e:
            from facelab.study.writing import one_line

            click.echo(f"facelab: {one_line(str(e))}", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            click.echo("facelab: stopped; 'facelab run --resume' goes on from here", err=True)
            context.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="facelab", prog_name="facelab")
def main():
    """Metric learning for face verification: run the study, get the data."""
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack characters, as Windows' cp1252
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@main.command(add_help_option=False)
@click.argument("notebooks", metavar="[NOTEBOOK]...", nargs=-1)
@click.option("--profile", default="smoke", show_default=True, help="smoke, lfw-cpu, lfw, a file.")
@click.option("parameters", "-p", nargs=2, multiple=True, metavar="NAME VALUE", help="Repeatable.")
@click.option("--out", metavar="DIR", help="Default: outputs/PROFILE.")
@click.option("--resume", is_flag=True, help="Skip what is done; go on from checkpoints.")
@click.option("--force", is_flag=True, help="Overwrite results that git tracks, or of others.")
@click.option("--scheduler", metavar="ADDRESS", help="Of dask.distributed; local: workers here.")
@click.option("--list", "listed", is_flag=True, help="List the notebooks.")
@click.option("-h", "--help", "explained", is_flag=True, help="This; of NOTEBOOK its parameters.")
@click.pass_context
def run(context, notebooks, profile, parameters, out, resume, force, scheduler, listed, explained):
    """Execute notebooks (all, or by name: 01) and write a report."""
    if explained and not notebooks:
        click.echo(context.get_help())
        return
    if listed or explained:
        from facelab.study.settings import describe, find_notebooks, notebooks_folder, title_of

        for path in find_notebooks(notebooks, notebooks_folder()):
            click.echo(describe(path) if explained else f"{path.stem}  {title_of(path)}")
        return
    from facelab.study.batch import run_study

    failed = run_study(notebooks, profile, dict(parameters), out, resume, force, scheduler)
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
    if os.name == "nt":  # where exec returns to the prompt at once
        sys.exit(subprocess.call(command))
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


@main.command("align")
@click.argument("source", metavar="IN")
@click.argument("out")
@click.option("--margin", default=0, show_default=True, help="More pixels on each side of 112.")
def align_faces(source, out, margin):
    """Turn, scale and move every face in IN to the field's template, into OUT; goes on."""
    from facelab.data.alignment import align

    found = align(source, out, margin)
    missing = found.loc[found["faces"] == 0, "file"].tolist()
    click.echo(f"{out}: {len(found):,} photos, {len(missing):,} without a face, kept as they are")
    for file in missing:
        click.echo(f"  {file}")


@main.command()
@click.argument("photos", metavar="FOLDER | A.jpg B.jpg", nargs=-1, required=True)
@click.option("--model", metavar="FILE", help="A network of save_network. Default: chapter 10's.")
@click.option("--out", default="outputs/photos", show_default=True, help="Where a report goes.")
@click.option("--prior", default=0.5, show_default=True, help="P(same) before one has looked.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; null: without an end.")
def verify(photos, model, out, prior, as_json):
    """Verify the people of a folder, or decide whether two photos show one person."""
    import json

    from facelab.study.photos import NETWORK, compare_photos, verify_folder

    if len(photos) > 2:
        raise ValueError(f"expected a folder or two photos, got {len(photos)} names")
    if len(photos) == 2:
        found = compare_photos(*photos, model or NETWORK, prior)
        plain = {name: None if value == float("inf") else value for name, value in found.items()}
        click.echo(json.dumps(plain) if as_json else _in_words(found))
        return
    report, page = verify_folder(photos[0], model or NETWORK, out)
    table = report.table().drop(columns="note")
    if as_json:
        click.echo(table.to_json(orient="records"))
    else:
        click.echo(f"{table.round(3).to_string(index=False)}\n{page}")


def _in_words(found: dict) -> str:
    said = "one person" if found["same"] else "two people"
    words = f"{said}: distance {found['distance']:.3f}, threshold {found['threshold']:.3f}"
    if "p_same" not in found:
        return words
    sure = f"{found['p_same']:.1%} ({found['p_low']:.1%} to {found['p_high']:.1%})"
    return f"{words}\nP(same) {sure}, if it was {found['prior']:.0%} before"


@main.command()
@click.argument("network", metavar="NETWORK.safetensors")
@click.argument("out", metavar="OUT.onnx")
def export(network, out):
    """Write a network of the study as an ONNX file, with its preprocessing and threshold."""
    from facelab.field.exchange import export_onnx

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
@click.option("--crop", default=128, show_default=True, help="Central pixels to use; 0: all.")
def info(path, crop):
    """Count the people and images in PATH, and say what is wrong (then the exit code is 1)."""
    from facelab.data.inspect import info

    text, ok = info(path, crop or None)
    click.echo(text)
    sys.exit(not ok)


@data.command()
def catalog():
    """List the field's data sets: size, layout, terms, how to get and how to load them."""
    from facelab.field.catalog import describe

    click.echo(describe())


@data.command()
@click.argument("out")
@click.option("--people", default=400, show_default=True, help="How many people.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws other people.")
def synthesize(out, people, seed):
    """Draw faces into OUT, laid out like LFW."""
    from facelab.data.drawn.people import synthesize

    click.echo(synthesize(out, people=people, seed=seed))
