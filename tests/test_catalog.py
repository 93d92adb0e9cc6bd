"""The catalogue of data sets, held against the study's table and the package."""

import re

import pytest
from click.testing import CliRunner

import facelab as fl
from facelab.study.commands import main

TABLE = """
CASIA | 10K | 0.5M
VGGFace2 | 9.1K | 3.3M
MS1MV2 | 85K | 5.8M
MS1M-DeepGlint | 87K | 3.9M
Asian-DeepGlint | 94K | 2.83M
LFW | 5,749 | 13,233
CFP-FP | 500 | 7,000
AgeDB-30 | 568 | 16,488
CPLFW | 5,749 | 11,652
CALFW | 5,749 | 12,174
YTF | 1,595 | 3,425
MegaFace | 530 (P) | 1M (G)
IJB-B | 1,845 | 76.8K
IJB-C | 3,531 | 148.8K
Trillion-Pairs | 5,749 (P) | 1.58M (G)
iQIYI-VID | 4,934 | 172,835
"""


def test_the_catalogue_has_the_sixteen_rows_of_the_table():
    rows = [line.split(" | ") for line in TABLE.strip().splitlines()]
    assert fl.catalog()[["name", "people", "images"]].to_numpy().tolist() == rows


def test_every_row_is_complete():
    catalog = fl.catalog()
    columns = ["name", "people", "images", "role", "layout", "terms", "get", "loader", "tested"]
    assert catalog.columns.tolist() == columns
    assert catalog.notna().all(axis=None)
    roles = {role for roles in catalog["role"] for role in roles.split("; ")}
    assert roles == {"training", "verification", "identification"}


@pytest.mark.parametrize("loaders", sorted(set(fl.catalog()["loader"])))
def test_every_loader_is_on_the_map(loaders):
    for loader in loaders.split("; "):
        assert loader in fl.__all__


def test_only_lfw_says_that_its_loader_saw_real_files():
    real = fl.catalog().set_index("name")["tested"].str.contains("real files")
    assert real[real].index.tolist() == ["LFW"]


def test_the_command_prints_every_fact():
    result = CliRunner().invoke(main, ["data", "catalog"])
    assert result.exit_code == 0
    printed = re.sub(r"\s+", " ", result.output)
    for row in fl.catalog().to_dict("records"):
        for fact in row.values():
            assert fact in printed
