"""The command line: what ``facelab --help`` lists."""

import io
import logging
import os
import shlex
import subprocess
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import click
from click.shell_completion import CompletionItem

PROFILE = "smoke, lfw-cpu, lfw, lfw-resnet50, across, or a YAML file."
OVERRIDE = "Set a notebook's parameter, whatever the profile says."
LFW = ["funneled", "original"]
VARIANT = "Photos in which LFW has lined the faces up, or as they were found."
ELSEWHERE = "Run several at once: alone or local here, else on dask.distributed's at ADDRESS."
LAB = Path(__file__).parent / "lab"  # JupyterLab's settings: Markdown is shown, not edited
HELP = {"help_option_names": ["-h", "--help"], "show_default": True}
OPEN = {"ignore_unknown_options": True}  # of a command that hands options on
NAMED = {"nargs": 2, "multiple": True, "metavar": "NAME VALUE"}


class _Commands(click.Group):
    """Turns errors that the user can mend into one line without a traceback."""

    def parse_args(self, context, args):
        context.obj = list(args)  # as they were typed
        return super().parse_args(context, args)

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (ValueError, OSError, ImportError) as e:
            from facelab.checks import one_line

            listed = str(e).replace("\n  ", "; ")  # as of photos that cannot be read
            said, code = one_line(listed), 2
        except KeyboardInterrupt:
            is_run = context.invoked_subcommand == "run"
            words = [word for word in context.obj if word != "--resume"]
            command = shlex.join(["facelab", *words, "--resume"])
            on = f"; '{command}' goes on from here" if is_run else ""
            said, code = f"stopped{on}", 130
        click.echo(f"facelab: {said}", err=True)
        context.exit(code)


@click.group(cls=_Commands, context_settings=HELP)
@click.version_option(package_name="facelab", prog_name="facelab")
def main():
    """Metric learning for face verification: run the study, get the data.

    To begin: facelab new study; then in that folder facelab lab, or facelab run.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack characters, as Windows' cp1252
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.formatwarning = lambda message, *_: f"{message}\n"  # without a line of code
    logging.basicConfig(format="%(message)s")  # to stderr, where bars are too
    logging.getLogger("facelab").setLevel("INFO")
    logging.getLogger("papermill").setLevel("CRITICAL")  # what fails is told once, by facelab
    logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel("WARNING")


def _complete(context, parameter, begun: str) -> list[CompletionItem]:
    """Complete a notebook, a profile, a parameter's name or its value, with what it is."""
    from facelab.study import settings
    from facelab.study.layout import notebooks_folder

    folder = notebooks_folder()
    if parameter.name == "notebooks":
        known = {path.stem: "" for path in sorted(folder.glob("*.ipynb"))}
    elif parameter.name == "profile":
        known = dict.fromkeys([*settings.profiles(), *map(str, Path().glob("[!.]*.yaml"))])
    else:
        own = {}
        named = context.params["notebooks"] or context.args  # click's, before -p has two words
        for path in settings.find_notebooks(named, folder):
            own |= settings.described_parameters(path)
        known = {name: own[name].comment for name in own.keys() - settings.RESERVED}
        *_, before, last = ["", "", *context.parent.args]  # all words so far
        if before in parameter.opts:  # its value is asked for
            known = dict.fromkeys(own[last].offered(), known[last]) if last in own else {}
    fits = [name for name in known if name.lower().startswith(begun.lower())]
    return [CompletionItem(name, help=known[name]) for name in fits]


@main.command(add_help_option=False)
@click.argument("notebooks", metavar="[NOTEBOOK]...", nargs=-1, shell_complete=_complete)
@click.option("--profile", default="smoke", help=PROFILE, shell_complete=_complete)
@click.option("-p", "parameters", **NAMED, shell_complete=_complete, help=OVERRIDE)
@click.option("--out", metavar="DIR", help="Default: outputs/PROFILE.")
@click.option("--resume", is_flag=True, help="Skip what is done; go on from checkpoints.")
@click.option("--force", is_flag=True, help="Overwrite what git tracks or other parameters made.")
@click.option("--scheduler", metavar="[ADDRESS]", flag_value="local", is_flag=False, help=ELSEWHERE)
@click.option("--keep-checkpoints", is_flag=True, help="Keep checkpoints of what is done.")
@click.option("--list", "listed", is_flag=True, help="List the notebooks.")
@click.option("-h", "--help", "explained", is_flag=True, help="This; with NOTEBOOK its parameters.")
@click.pass_context
def run(context, notebooks, parameters, listed, explained, **options):
    """Execute notebooks (all, or by name: 01) and write a report."""
    if explained and not notebooks:
        click.echo(context.get_help())
    elif explained or listed:
        from facelab.study.layout import notebooks_folder
        from facelab.study.settings import describe, find_notebooks, titles

        paths = find_notebooks(notebooks, notebooks_folder())
        click.echo("\n".join(map(describe, paths) if explained else titles(paths)))
    else:
        from facelab.study.batch import run_study

        failed = run_study(notebooks, parameters=dict(parameters), **options)
        for name, cause in failed.items():
            click.echo(f"facelab: {name} failed in {cause}", err=True)
        sys.exit(bool(failed))


@main.command()
@click.argument("study", metavar="DIR")
def new(study):
    """Lay out the notebooks in a folder of your own.

    The committed runs, on real faces, lie beside them in DIR/outputs.
    """
    from facelab.study.layout import lay_out

    click.echo(f"{lay_out(study)} holds the study: cd there, then facelab lab, or facelab run")


@main.command(context_settings=OPEN)
@click.argument("words", metavar="[DIR] [OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
def lab(words):
    """Open a folder's notebooks in JupyterLab, its README first.

    DIR is one of `facelab new`, by default this one; OPTIONS are JupyterLab's.
    """
    from facelab.study.execute import MALLOC
    from facelab.study.layout import own_notebooks

    study, options = _dir_and_options(words)
    own_notebooks(study)
    command = [sys.executable, "-m", "jupyterlab", study]
    if (Path(study) / "README.md").is_file():
        command.append("--LabApp.default_url=/lab/tree/README.md")
    command += options
    paths = [str(LAB), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    if os.name == "nt":  # where exec returns to the prompt at once
        sys.exit(subprocess.call(command))
    os.execve(sys.executable, command, os.environ | MALLOC)


@main.command(context_settings=OPEN)
@click.argument("words", metavar="[DIR] [OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
def explore(words):
    """Serve the explorer of all runs as a page.

    DIR is a folder of `facelab new`, by default this one; OPTIONS are Voila's. It prints its
    address, which holds a token; only this machine is answered.
    """
    from facelab.explorer.page import serve
    from facelab.study.layout import own_notebooks

    study, options = _dir_and_options(words)
    serve([str(own_notebooks(study) / "explore.ipynb"), "--no-browser", *options])


def _dir_and_options(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    is_named = words and not words[0].startswith("-")
    return (words[0], words[1:]) if is_named else (".", words)


@main.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True)
@click.option("--readme", metavar="FILE", help="Write the tables of results into this file too.")
def report(folders, readme):
    """Build DIR/report.html anew from the runs in DIR."""
    from facelab.files import alone_in
    from facelab.study.layout import notebooks_folder
    from facelab.study.report import build_report
    from facelab.study.settings import chapters
    from facelab.study.tables import write_results

    expected = [path.stem for path in chapters(notebooks_folder())]
    for folder in folders:
        with alone_in(folder) if Path(folder).is_dir() else nullcontext():
            click.echo(build_report(folder, expected))
    if readme:
        write_results(readme, folders)
        click.echo(readme)


@main.command()
@click.argument("method", metavar="MY.py", type=click.Path())
@click.argument("study", metavar="[DIR]", default="outputs/lfw-cpu")
def compare(method, study):
    """Train a method of your own and place it among the recorded.

    MY.py has a function objective(people), which returns a loss, or a loss and a miner, for the
    training people. It may have network(image_size), a dict of settings (sampler, lr, loss_lr,
    weight_decay, optimizer, scheduler, augment) and METHOD, its name. It is trained on the data,
    with the budget and the seeds of chapter 03's run in DIR, and recorded in DIR/MY. Of each
    method on the same pairs it prints its AUC, and what yours gains over it, people resampled.
    """
    from facelab.study.own_method import as_text, compare_method

    table, run = compare_method(method, study)
    click.echo(as_text(table))
    click.echo("\n".join([str(run.claims()), *run.entries["notes"], str(run.out)]))


@main.command("align")
@click.argument("source", metavar="IN")
@click.argument("out")
@click.option("--margin", default=0, help="More pixels on each side of 112.")
def align_faces(source, out, margin):
    """Put every face upright, as the field's template has it.

    Photos in IN are turned, scaled and moved, into OUT; what is there already stays.
    """
    from facelab.data.alignment import align, without_a_face

    found = align(source, out, margin)
    missing = found.loc[found["faces"] == 0, "file"].tolist()
    click.echo(f"{out}: {len(found):,} photos; {without_a_face(missing)}")


@main.command()
@click.argument("photos", metavar="FOLDER | A.jpg B.jpg", nargs=-1, required=True)
@click.option(
    "--model", metavar="FILE", help="*.safetensors, *.onnx, *.npz, *.npy; else chapter 10's."
)
@click.option("-p", "preprocessing", **NAMED, help="Of *.onnx: image_size, colours, mean, scale.")
@click.option("--by", metavar="RULE", help="Of a folder's threshold: accuracy, f1, eer or far.")
@click.option("--far", type=float, help="The most that it may falsely accept, such as 0.01.")
@click.option("--out", metavar="DIR", help="Of a folder's report; else outputs/photos.")
@click.option("--prior", type=float, help="Of two photos: P(same) before they are seen; else 0.5.")
@click.option(
    "--from", "chosen", metavar="DIR", help="Of two photos: by what a folder's --out DIR chose."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; null: an end that is open.")
def verify(photos, model, preprocessing, by, far, out, prior, chosen, as_json):
    """Verify a folder of people, or compare two photos.

    FOLDER holds a folder of photos for each person: half of the people choose the threshold, a
    report tells of the others. Of two photos: their distance, the decision, and how sure it is, by
    the network's own threshold and calibration, or by those that a FOLDER gave it.
    """
    import json

    from facelab.checks import expect
    from facelab.data.alignment import without_a_face
    from facelab.study.photos import (
        COST,
        NETWORK,
        compare_photos,
        cost_of,
        in_words,
        values_of,
        verify_folder,
    )

    expect(len(photos) <= 2, "a folder or two photos", f"{len(photos)} names")
    about = values_of(preprocessing)
    if len(photos) == 2:
        of_folder = by, far, out
        expect(of_folder == (None,) * 3, "a folder with --by, --far and --out", "two photos")
        prior = 0.5 if prior is None else prior
        found = compare_photos(*photos, model or NETWORK, prior, about, chosen)
        plain = {name: None if value == float("inf") else value for name, value in found.items()}
        click.echo(json.dumps(plain) if as_json else in_words(found))
        return
    expect(prior is None, "two photos with --prior", "a folder")
    expect(chosen is None, "two photos with --from", "a folder")
    by = by or ("accuracy" if far is None else "far")
    out = out or "outputs/photos"
    report, page, missing, sure = verify_folder(photos[0], model or NETWORK, out, by, far, about)
    table, cost = report.table().drop(columns="note"), cost_of(report, sure)
    if as_json:
        rates = json.loads(table.to_json(orient="records"))
        told = {"rates": rates, "threshold": report.threshold, "without_a_face": missing}
        told |= {"cllr": cost, "report": str(page)}
        click.echo(json.dumps(told))
        return
    click.echo(table.round(3).to_string(index=False))
    click.echo(f"threshold {report.threshold:.3f}: {report.threshold_from}")
    click.echo(COST.format(**cost))
    if missing is not None:
        click.echo(without_a_face(missing))
    click.echo(page)


@main.command()
@click.argument("network", metavar="NETWORK.safetensors")
@click.argument("out", metavar="OUT.onnx")
def export(network, out):
    """Write a network of the study as an ONNX file.

    Its preprocessing and its threshold are in the file's metadata.
    """
    from facelab.field.exchange import export_onnx

    about = export_onnx(network, out)
    if about.get("calibration"):  # which is three tables
        about = about | {"calibration": f"of {about['calibration']['people']} people"}
    said = ", ".join(f"{key} {value}" for key, value in about.items())
    click.echo(f"{out}: embeddings of unit length; {said}")


@main.group()
def data():
    """Get faces, or look at them."""


@data.command()
@click.option("--out", metavar="DIR", default="data", help="Where to.")
@click.option("--variant", type=click.Choice(LFW), default="funneled", help=VARIANT)
def fetch(out, variant):
    """Download LFW and its lists of pairs; goes on where it stopped."""
    from facelab.data.download import fetch

    click.echo(f"{fetch(out, variant)} holds LFW; name it as FACELAB_LFW, or as DATA")


@data.command()
@click.argument("path")
@click.option("--crop", default=128, help="Central pixels to use; 0: all.")
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
@click.option("--people", default=400, help="How many people.")
@click.option("--seed", default=0, help="Another seed draws other people.")
def synthesize(out, people, seed):
    """Draw faces into OUT, laid out like LFW."""
    from facelab.data.drawn.people import synthesize

    click.echo(synthesize(out, people=people, seed=seed))
