"""A small GF-3 product, to read and to damage."""

from __future__ import annotations

import shutil

import gf3_products
import pytest


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    return gf3_products.write(tmp_path_factory.mktemp("gf3"))


@pytest.fixture
def copy(product, tmp_path):
    return shutil.copytree(product, tmp_path / product.name)
