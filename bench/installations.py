"""Where each measurement keeps its catalog, and the data set its command line names."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace

from bench.plan import DatasetSpec
from bench.product import Product
from federation.settings import Settings


def spec_of(options: argparse.Namespace) -> DatasetSpec:
    """The data set that the command line names."""
    return DatasetSpec(
        items=options.items, instances=options.instances, seed=options.seed, long_sequence=options.long_sequence
    )


def suffix_of(options: argparse.Namespace) -> str:
    """What tells a variant of a measurement in names of files."""
    leaf_max = f"-leaf{options.leaf_max}" if options.leaf_max else ""
    return leaf_max + ("-long" if options.long_sequence else "") + ("-bulk" if options.bulk else "")


def product_of(options: argparse.Namespace) -> Product:
    """The installation for this data set; it stays after a harvest or a copy, for `api` and `cold` to serve."""
    spec = spec_of(options)
    settings = dict(setting.split("=", 1) for setting in options.set)
    if options.leaf_max:
        settings["leaf_max_pictures"] = str(options.leaf_max)
    ports = tuple(options.port + n for n in range(spec.instances))
    name = f"catalog-{spec.items}-{spec.instances}{suffix_of(options)}"
    return Product(directory=options.directory / name, ports=ports, port=options.port + 100, settings=settings)


def scratch_of(options: argparse.Namespace, name: str) -> Product:
    """A new, empty installation of one instance, for a measurement that keeps nothing."""
    product = replace(product_of(options), directory=options.directory / name, ports=(options.port,))
    make_empty(product)
    return product


def make_empty(product: Product) -> None:
    """Remove what an earlier measurement left."""
    product.cluster.remove()
    shutil.rmtree(product.directory, ignore_errors=True)
    product.directory.mkdir(parents=True)


def settings_of(product: Product) -> Settings:
    """The settings of the installation, for what is done to it from here."""
    return Settings(**product.settings)  # type: ignore[arg-type]  # texts, as from the environment


def existing(product: Product, how: str) -> Product:
    """The installation, when there is one; SystemExit says how to make it."""
    if not product.directory.exists():
        raise SystemExit(f"Nothing to serve in {product.directory}: run `{how}` first")
    return product
