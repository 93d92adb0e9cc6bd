"""Progress bars: tqdm's, where they are seen and are not red."""

import os
import sys

from tqdm import tqdm

MANY = 5000  # images; fewer take no bar
IN_BATCH = "FACELAB_BATCH"  # set where a batch runs a notebook, and passes stderr on to a terminal


class Progress(tqdm):
    """A bar on stderr; in a notebook, where that is red, on stdout until it is done."""

    def __init__(self, *arguments, **options):
        in_notebook = type(sys.stdout).__module__ == "ipykernel.iostream"
        if in_notebook and IN_BATCH not in os.environ:
            options = {"file": sys.stdout, "leave": False} | options
        super().__init__(*arguments, **options)
