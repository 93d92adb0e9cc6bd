"""What LFW's own pages say: official results, and pairs whose labels are known to be wrong."""

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent


def official_results() -> pd.DataFrame:
    """Return LFW's results in View 2: method, setting, category, accuracy and error in percent.

    The error is the standard error of the mean over ten folds. Figures of the results page, May
    2025; its categories are those of Huang and Learned-Miller, UMass UM-CS-2014-003, 2014.
    """
    return pd.read_csv(HERE / "official_results.csv")


def known_errors() -> pd.DataFrame:
    """Return pairs whose label is wrong, as LFW's page lists them: left, right, error.

    Its authors ask to mind them in figures and not to correct them.
    """
    return pd.read_csv(HERE / "known_errors.csv")
