"""Folders of model files, and a pipeline to make them from."""

import numpy as np
import pytest

from registry.artifacts.manifest import Manifest


@pytest.fixture
def folder_of(tmp_path):
    """Write the files of a version; return their folder and manifest."""

    def write(files: dict[str, bytes], name: str = "version"):
        folder = tmp_path / name
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return folder, Manifest.of_folder(folder)

    return write


@pytest.fixture(scope="session")
def rows():
    """Forty rows of five columns."""
    return np.random.default_rng(7).normal(size=(40, 5))


@pytest.fixture(scope="session")
def pipeline(rows):
    """A fitted pipeline of scaling and boosted trees."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=5))
    return pipeline.fit(rows, rows[:, 0] > 0)


@pytest.fixture(scope="session")
def skops_bytes(pipeline):
    """The pipeline as a skops file."""
    import skops.io

    return skops.io.dumps(pipeline)
